"""Writes checkpoints during training, in another thread."""

import logging
import math
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import keras

from frcnn.errors import RunError
from frcnn.evaluation.report import Report
from frcnn.files import atomic_path, remove_leftovers
from frcnn.model.files.checkpoint import Snapshot, Snapshots
from frcnn.model.files.training_record import TrainingRecord, read_record
from frcnn.settings.training import TrainingRun
from frcnn.training.callbacks.background_writer import BackgroundWriter
from frcnn.training.callbacks.training_log import TrainingLog
from frcnn.training.run_folder import checkpoints_of, epoch_of, of_an_earlier_run, write_index

log = logging.getLogger(__name__)


class Checkpoints(keras.callbacks.Callback):
    """Callback that writes the model every `checkpoint_interval` epochs, and the best model.

    The state is captured between two steps and written while the next ones run. `before_validation`, a
    callback to place before validation, saves an epoch that is due, so a run that ends in validation keeps
    it. The result of the validation is added later. Rank 0 only, after validation and the training log. Use
    it as a context manager: exiting waits for the checkpoint in progress. Models with non-finite weights are
    never written.

    Attributes:
        before_validation: Callback that saves epochs before they are validated.
        latest: Latest checkpoint; `None` before the first.
        best: Best checkpoint; `None` before the first.
    """

    def __init__(
        self,
        run: TrainingRun,
        folder: Path,
        key: str,
        rows: TrainingLog,
        report: Callable[[], Report | None] = lambda: None,
        start: TrainingRecord | None = None,
        resumed: Path | None = None,
    ) -> None:
        """Creates the callback and updates the index of the folder.

        Args:
            run: Settings of the training, with interval and number of checkpoints to keep.
            folder: Results folder, created if missing.
            key: Key that seals the files; empty for plain ones.
            rows: Log of the epochs so far.
            report: Returns the validation result of the epoch, or `None`.
            start: Training record of a resumed run, which must beat the best model of the run it continues.
            resumed: Checkpoint of `start`.
        """
        super().__init__()
        self._run, self._settings = run, run.checkpoints
        self._folder, self._key = folder, key
        self._rows, self._report = rows, report
        self._steps_done = start.step if start else 0
        self._snapshots: Snapshots | None = None
        self._background = BackgroundWriter()
        self._best_ap = -1.0
        self._saved: Snapshot | None = None
        self._to_complete: TrainingRecord | None = None
        self.before_validation = _BeforeValidation(self)
        self.latest: Path | None = None
        self.best: Path | None = None
        remove_leftovers(folder)
        self._earlier = checkpoints_of(folder)
        if resumed is not None and resumed.resolve().parent == folder.resolve():
            self._continue_in_folder(resumed, start)
        if self._earlier:
            log.warning("%s: ignoring %d checkpoints of an earlier run", folder, len(self._earlier))
        write_index(folder, self.latest, self.best, self._earlier)

    def __enter__(self) -> Self:
        """Starts the background writer."""
        self._background.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        """Waits for the checkpoint in progress."""
        self._background.__exit__(*details)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Prepares snapshots once, so that no step waits for it.

        If the checkpoint to resume from has been validated in the meantime, its file is completed.
        """
        self._snapshots = Snapshots(self.model)
        record = self._to_complete
        if record is None:
            return
        mean_ap = record.metrics.get("mAP", math.nan)
        better = self._settings.save_best and mean_ap > self._best_ap
        if better:
            self._best_ap = mean_ap
        snapshot = self._take()
        self._background.start(lambda: self._write(snapshot, record, due=True, better=better))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the step."""
        self._steps_done += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves the epoch if it is due or the best so far; the last epoch is always due.

        Raises:
            RunError: Writing an earlier checkpoint failed, for example because the disk is full.
        """
        self._background.check()
        report = self._report()
        mean_ap = report.mean_ap if report else None
        due = self._is_due(epoch)
        better = self._settings.save_best and mean_ap is not None and mean_ap > self._best_ap
        saved, self._saved = self._saved, None
        if not (due or better):
            return
        if better:
            self._best_ap = mean_ap or 0.0
        record = self._record(epoch, logs, self._rows.rows())
        if saved is None:
            snapshot = self._take()
            self._background.start(lambda: self._write(snapshot, record, due=due, better=better))
        elif report is not None:
            # The same state again, with the validation result; the weights have not changed since.
            self._background.then(lambda: self._write(saved, record, due=due, better=better))

    def save_unvalidated(self, epoch: int, logs: dict[str, Any] | None) -> None:
        """Saves an epoch that is due right after training it.

        Args:
            epoch: Epoch, from 0.
            logs: Keras logs of the epoch.

        Raises:
            RunError: Writing an earlier checkpoint failed.
        """
        if not self._is_due(epoch):
            return
        self._background.check()
        snapshot = self._saved = self._take()
        record = self._record(epoch, logs, self._rows.rows_with(epoch, logs))
        self._background.start(lambda: self._write(snapshot, record, due=True, better=False))

    def _is_due(self, epoch: int) -> bool:
        last = epoch + 1 == self._run.epochs or self.model.stop_training
        return bool(last) or (epoch + 1) % self._settings.interval == 0

    def _take(self) -> Snapshot:
        if self._snapshots is None:
            raise RuntimeError("on_train_begin must be called first")
        self._background.wait()
        return self._snapshots.take()

    def _record(
        self, epoch: int, logs: dict[str, Any] | None, history: tuple[dict[str, float], ...]
    ) -> TrainingRecord:
        return TrainingRecord(
            arch=self._run.model.arch,
            class_names=self._run.data.class_names,
            epoch=epoch + 1,
            step=self._steps_done,
            spec_text=self._run.spec_text,
            metrics={name: float(value) for name, value in (logs or {}).items()},
            history=history,
        )

    def _write(self, snapshot: Snapshot, record: TrainingRecord, *, due: bool, better: bool) -> None:
        """Writes a snapshot in the background thread, without TensorFlow.

        Raises:
            RunError: The weights are not finite; nothing is written.
        """
        invalid = snapshot.not_finite()
        if invalid is not None:
            raise RunError(
                f"{invalid} has values that are not finite after epoch {record.epoch}. Training stopped, and "
                "this epoch is not saved; earlier checkpoints are kept. Lower learning_rate, lengthen "
                "soft_start, or check the labels."
            )
        path, best = self._path(f"epoch_{record.epoch}"), self._path("best")
        self._remove_earlier([path] * due + [best] * better)
        if due:
            if better:
                # Named before it is written: as soon as the file exists, it is the latest and the best.
                write_index(self._folder, self.latest, path, self._earlier)
            snapshot.save(path, record, self._key)
            if self.latest != path:
                log.info("Epoch %d: saved %s", record.epoch, path)
            self.latest = path
        if better and due:
            self._copy_to_best(path)
        elif better:
            snapshot.save(best, record, self._key)
            self.best = best
            log.info("New best model: saved %s", best)
        # The index is written before files are removed, so it never names a missing file.
        write_index(self._folder, self.latest, self.best, self._earlier)
        if due:
            self._remove_old()

    def _path(self, tag: str) -> Path:
        arch = self._run.model.arch.replace(":", "_")
        return self._folder / f"frcnn_{arch}.{tag}{'.tlt' if self._key else '.keras'}"

    def _remove_old(self) -> None:
        keep = self._settings.keep
        files = self._folder.glob(self._path("epoch_*").name)
        ours = sorted({path.name for path in files} - self._earlier, key=epoch_of)
        for name in ours[:-keep] if keep else []:
            (self._folder / name).unlink(missing_ok=True)

    def _remove_earlier(self, paths: Iterable[Path]) -> None:
        """Removes files that an earlier run left under these names, and updates the index."""
        replaced = {path.name for path in paths} & self._earlier
        for name in replaced:
            (self._folder / name).unlink(missing_ok=True)
        if replaced:
            self._earlier -= replaced
            write_index(self._folder, self.latest, self.best, self._earlier)

    def complete(self) -> None:
        """Removes old checkpoints that a run killed after its last checkpoint did not remove."""
        self._remove_old()

    def _copy_to_best(self, path: Path) -> None:
        self.best = self._path("best")
        with atomic_path(self.best) as temporary:
            shutil.copyfile(path, temporary)

    def _continue_in_folder(self, resumed: Path, start: TrainingRecord | None) -> None:
        """Takes over checkpoints up to `resumed`; later ones count as an earlier run's."""
        before = self._earlier - of_an_earlier_run(self._folder)
        ours = {name for name in before if epoch_of(name) <= epoch_of(resumed.name)} | {resumed.name}
        self._earlier -= ours
        self.latest, best = resumed, self._path("best")
        if best.name in ours:
            self.best = best
            self._best_ap = read_record(best, self._key).metrics.get("mAP", -1.0)
        stored = read_record(resumed, self._key)
        if (
            start is not None
            and start.epoch == stored.epoch
            and "mAP" in start.metrics.keys() - stored.metrics
        ):
            self._to_complete = start
        else:
            self._repair_best(resumed, best, stored.metrics.get("mAP", -1.0))

    def _repair_best(self, resumed: Path, best: Path, reached: float) -> None:
        """Copies the best model if the run was killed between its validation and this copy."""
        wanted = self._settings.save_best and reached > self._best_ap
        if not wanted or best.suffix != resumed.suffix:
            return
        self._copy_to_best(resumed)
        self._best_ap = reached
        self._earlier -= {best.name}


class _BeforeValidation(keras.callbacks.Callback):
    """Callback that saves each epoch that is due before its validation."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        super().__init__()
        self._checkpoints = checkpoints

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves the epoch without the validation result."""
        self._checkpoints.save_unvalidated(epoch, logs)
