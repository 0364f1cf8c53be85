"""Training whose checkpoints are kept on S3, so that a step on a new machine goes on with them."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.distributed.world import place
from frcnn.paths import UnsafeNameError, below
from frcnn.storage import Store, is_remote
from frcnn.storage.faults import ChangedError, DamagedError, MissingError
from frcnn.storage.mirror import Mirror
from frcnn.training.continued import train_or_continue
from frcnn.training.run_folder import epoch_of, only_training_in

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment
    from frcnn.training.trainer import TrainResult

log = logging.getLogger(__name__)


def train_and_keep(
    spec: "Experiment",
    folder: Path,
    uri: str = "",
    *,
    key: str = "",
    amp: bool = False,
    store: Store | None = None,
) -> "TrainResult":
    """Trains as `train_or_continue` does, and copies all of its files to `uri` meanwhile.

    Rank 0 copies, in a thread, so that no step waits; every rank begins with the newest checkpoint at `uri`
    that is whole.

    Args:
        spec: A checked spec.
        folder: Of this very training, and no other: its files on this machine.
        uri: On S3, and of this training only too. Anything else: the files are in `folder` only.
        key: Of the checkpoints.
        amp: Whether layers compute in 16 bits.
        store: Default: the environment's.
    """
    with only_training_in(folder, place()):
        return _train_and_keep(spec, folder, uri, key, amp=amp, store=store)


def _train_and_keep(
    spec: "Experiment", folder: Path, uri: str, key: str, *, amp: bool, store: Store | None
) -> "TrainResult":
    if not is_remote(uri):
        return train_or_continue(spec, folder, key=key, amp=amp)
    store = store or Store.from_environment()
    bring_back(store, uri, folder)
    if place().rank:
        return train_or_continue(spec, folder, key=key, amp=amp)
    with Mirror(store, folder, uri):
        return train_or_continue(spec, folder, key=key, amp=amp)


def bring_back(store: Store, uri: str, folder: Path) -> None:
    """Fetches the newest whole checkpoint from `uri`, and what is no checkpoint of an epoch, if any.

    Raises:
        StoreError: The store is out of reach.
    """
    names = [entry.name for entry in store.list(uri)]
    epochs = sorted((name for name in names if epoch_of(name)), key=epoch_of, reverse=True)
    for name in epochs:
        if _brought(store, uri, folder, name):
            break
    for name in set(names) - set(epochs):
        _brought(store, uri, folder, name)


def _brought(store: Store, uri: str, folder: Path, name: str) -> bool:
    try:
        path = below(folder, name, uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        store.download_file(f"{uri}/{name}", path)
    except (ChangedError, DamagedError, MissingError, UnsafeNameError) as error:
        log.warning("%s; going on without it", error)
        return False
    return True
