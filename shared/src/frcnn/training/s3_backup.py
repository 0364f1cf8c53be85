"""Training with checkpoints on S3, so that a step on a new machine can resume."""

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.distributed.world import rank_info
from frcnn.paths import UnsafeNameError, below
from frcnn.storage import Store, is_remote
from frcnn.storage.faults import ChangedError, DamagedError, MissingError
from frcnn.storage.mirror import Mirror
from frcnn.training.resume import train_or_resume
from frcnn.training.run_folder import epoch_of, only_training_in

if TYPE_CHECKING:
    import keras

    from frcnn.distributed.world import World
    from frcnn.settings.training import TrainingRun
    from frcnn.training.result import TrainResult

log = logging.getLogger(__name__)


def train_with_s3_backup(
    run: "TrainingRun",
    folder: Path,
    uri: str = "",
    *,
    key: str = "",
    amp: bool = False,
    strict: bool = False,
    world: "World | None" = None,
    store: Store | None = None,
    callbacks: Sequence["keras.callbacks.Callback"] = (),
) -> "TrainResult":
    """Trains like `train_or_resume` and copies all files of the training to S3 meanwhile.

    Every rank starts from the newest intact checkpoint at `uri`. Rank 0 uploads in a thread, so steps do not
    wait.

    Args:
        run: Settings of the training.
        folder: Local folder, used by this training only.
        uri: S3 URI, used by this training only. For any other value the files stay in `folder`.
        key: Key of the sealed checkpoints; empty for plain ones.
        amp: Whether layers compute in 16 bits.
        strict: Whether an unreadable image ends the run at once instead of being skipped.
        world: Ranks; default: those that a launcher started, or this process alone.
        store: Store to use; default: the one configured in the environment.
        callbacks: Callbacks that run after validation.

    Returns:
        Result of the training.

    Raises:
        PlaceBusyError: Another training writes to `folder`.
        StoreError: The store is unreachable.
        FrcnnError: See `frcnn.training.trainer.train`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_training_in(folder, rank_info()))
        if is_remote(uri):
            store = store or Store.from_environment()
            download_checkpoint(store, uri, folder)
            if rank_info().rank == 0:
                stack.enter_context(Mirror(store, folder, uri))
        return train_or_resume(run, folder, key=key, amp=amp, strict=strict, world=world, callbacks=callbacks)


def download_checkpoint(store: Store, uri: str, folder: Path) -> None:
    """Downloads the newest intact checkpoint of an epoch, and all other kinds of files.

    Args:
        store: Store of the files.
        uri: Location of the training's files.
        folder: Local folder to download to.

    Raises:
        StoreError: The store is unreachable.
    """
    names = [entry.name for entry in store.list(uri)]
    epochs = sorted((name for name in names if epoch_of(name)), key=epoch_of, reverse=True)
    for name in epochs:
        if _download(store, uri, folder, name):
            break
    for name in set(names) - set(epochs):
        _download(store, uri, folder, name)


def _download(store: Store, uri: str, folder: Path, name: str) -> bool:
    try:
        path = below(folder, name, uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        store.download_file(f"{uri}/{name}", path)
    except (ChangedError, DamagedError, MissingError, UnsafeNameError) as error:
        log.warning("Continuing without a file of the earlier run: %s", error)
        return False
    return True
