"""Checkpoints while training goes on: which, when, and written by another thread."""

import logging
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import keras

from frcnn.evaluation.report import Report
from frcnn.files import atomic_path, remove_leftovers
from frcnn.model.files.checkpoint import Snapshot, Snapshots, TrainingRecord, read_record
from frcnn.spec.show import effective_text
from frcnn.training.callbacks.training_log import TrainingLog
from frcnn.training.run_folder import checkpoints_of, epoch_of, of_an_earlier_run, write_index

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)


class Background:
    """One thread that does one job at a time; what goes wrong in it is raised when next looked at."""

    def __init__(self) -> None:
        """The thread starts with the first job."""
        self._pool = ThreadPoolExecutor(1, "checkpoints")
        self._job: Future[None] | None = None

    def __enter__(self) -> Self:
        """Nothing."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: Any) -> None:
        """Waits for the last job; its error counts unless there is one already."""
        try:
            self.wait()
        except Exception as error:
            if kind is None:
                raise
            log.error("%s", error)
        finally:
            self._pool.shutdown()

    def check(self) -> None:
        """Raises what the last job raised, if it is over."""
        if self._job is not None and self._job.done():
            self.wait()

    def wait(self) -> None:
        """Waits for the last job, and raises what it raised."""
        job, self._job = self._job, None
        if job is not None:
            job.result()

    def start(self, work: Callable[[], None]) -> None:
        """Waits for the last job, then begins this one."""
        self.wait()
        self._job = self._pool.submit(work)


class Checkpoints(keras.callbacks.Callback):
    """Writes the model every `checkpoint_interval` epochs and keeps the best one under its own name.

    The state is taken between two steps; writing it goes on beside the next ones. Rank 0 only, behind
    validation and the training log. Use it as a context: leaving it waits for what is being written.
    """

    def __init__(
        self,
        spec: "Experiment",
        folder: Path,
        key: str,
        rows: TrainingLog,
        report: Callable[[], Report | None] = lambda: None,
        start: TrainingRecord | None = None,
        resumed: Path | None = None,
    ) -> None:
        """Files go to `folder`, sealed if there is a `key`.

        Args:
            spec: Says when, and how many to keep.
            folder: Made if missing.
            key: Of the files.
            rows: What is known of the epochs so far.
            report: Gives the epoch's validation, or None if it had none.
            start: Of a resumed run, which must beat the best model of the run it goes on with.
            resumed: The checkpoint of `start`.
        """
        super().__init__()
        self._spec, self._folder, self._key = spec, folder, key
        self._rows, self._report = rows, report
        self._steps_done = start.step if start else 0
        self._text = effective_text(spec)
        self._snapshots: Snapshots | None = None
        self._background = Background()
        self._best_ap = -1.0
        self.latest: Path | None = None
        self.best: Path | None = None
        remove_leftovers(folder)
        self._earlier = checkpoints_of(folder)
        if resumed is not None and resumed.resolve().parent == folder.resolve():
            self._go_on_in_this_folder(resumed, start)
        if self._earlier:
            log.warning("%s: %d checkpoints of an earlier run do not count", folder, len(self._earlier))
        write_index(folder, self.latest, self.best, self._earlier)

    def __enter__(self) -> Self:
        """Nothing."""
        self._background.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        """Waits for the checkpoint that is being written."""
        self._background.__exit__(*details)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Lists once what there is to save, so that no step waits for that."""
        self._snapshots = Snapshots(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the step."""
        self._steps_done += 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves if the interval is over, if it is the last epoch, or if this model is the best so far.

        Raises:
            RunError: The disk is full, also if that befell an earlier checkpoint.
        """
        self._background.check()
        config = self._spec.training_config
        report = self._report()
        mean_ap = report.mean_ap if report else None
        last = epoch + 1 == config.num_epochs or self.model.stop_training
        due = last or (epoch + 1) % config.checkpoint_interval == 0
        better = config.save_best and mean_ap is not None and mean_ap > self._best_ap
        if config.checkpoint_interval > config.num_epochs or not (due or better):
            return
        if better:
            self._best_ap = mean_ap or 0.0
        if self._snapshots is None:
            raise RuntimeError("on_train_begin comes first")
        self._background.wait()
        snapshot, record = self._snapshots.take(), self._record(epoch, logs)
        self._background.start(lambda: self._write(snapshot, record, due=due, better=better))

    def _record(self, epoch: int, logs: dict[str, Any] | None) -> TrainingRecord:
        return TrainingRecord(
            arch=self._spec.model_config.arch,
            class_names=tuple(self._spec.class_names),
            epoch=epoch + 1,
            step=self._steps_done,
            spec_text=self._text,
            metrics={name: float(value) for name, value in (logs or {}).items()},
            history=self._rows.rows(),
        )

    def _write(self, snapshot: Snapshot, record: TrainingRecord, *, due: bool, better: bool) -> None:
        """Runs beside the training: no TensorFlow here."""
        path, best = self._path(f"epoch_{record.epoch}"), self._path("best")
        self._make_way([path] * due + [best] * better)
        if due:
            if better:
                # Announced first: the moment the file is there, it is the latest and the best one.
                write_index(self._folder, self.latest, path, self._earlier)
            snapshot.save(path, record, self._key)
            self.latest = path
            log.info("saved %s", path)
        if better and due:
            self._copy_to_best(path)
        elif better:
            snapshot.save(best, record, self._key)
            self.best = best
            log.info("saved %s", best)
        # The index before the removal: at no moment does it name what is gone.
        write_index(self._folder, self.latest, self.best, self._earlier)
        if due:
            self._remove_old()

    def _path(self, tag: str) -> Path:
        arch = self._spec.model_config.arch.replace(":", "_")
        return self._folder / f"frcnn_{arch}.{tag}{'.tlt' if self._key else '.keras'}"

    def _remove_old(self) -> None:
        keep = self._spec.training_config.keep_checkpoints
        files = self._folder.glob(self._path("epoch_*").name)
        ours = sorted({path.name for path in files} - self._earlier, key=epoch_of)
        for name in ours[:-keep] if keep else []:
            (self._folder / name).unlink(missing_ok=True)

    def _make_way(self, paths: Iterable[Path]) -> None:
        """Removes an earlier run's files of these names: the index would take their successors for them."""
        replaced = {path.name for path in paths} & self._earlier
        for name in replaced:
            (self._folder / name).unlink(missing_ok=True)
        if replaced:
            self._earlier -= replaced
            write_index(self._folder, self.latest, self.best, self._earlier)

    def complete(self) -> None:
        """Does what a run that was killed after its last checkpoint had still to do."""
        self._remove_old()

    def _copy_to_best(self, path: Path) -> None:
        self.best = self._path("best")
        with atomic_path(self.best) as temporary:
            shutil.copyfile(path, temporary)

    def _go_on_in_this_folder(self, resumed: Path, start: TrainingRecord | None) -> None:
        """What was written up to `resumed` is this run's; what is of later epochs will be written anew."""
        before = self._earlier - of_an_earlier_run(self._folder)
        ours = {name for name in before if epoch_of(name) <= epoch_of(resumed.name)} | {resumed.name}
        self._earlier -= ours
        self.latest, best = resumed, self._path("best")
        if best.name in ours:
            self.best = best
            self._best_ap = read_record(best, self._key).metrics.get("mAP", -1.0)
        mean_ap = start.metrics.get("mAP", -1.0) if start and self._spec.training_config.save_best else -1.0
        if mean_ap > self._best_ap and best.suffix == resumed.suffix:
            # A run that was killed between the two had no time for the copy.
            self._copy_to_best(resumed)
            self._best_ap = mean_ap
