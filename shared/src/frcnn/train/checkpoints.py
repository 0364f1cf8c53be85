"""Checkpoints while training goes on: which, when, and written by another thread."""

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import keras

from frcnn.evaluate.report import Report
from frcnn.model.checkpoint import Snapshot, Snapshots, TrainingRecord, read_record
from frcnn.runtime.files import atomic_path, remove_leftovers
from frcnn.runtime.run_folder import checkpoint_in, epoch_of, write_index
from frcnn.spec.show import effective_text
from frcnn.train.training_log import TrainingLog

if TYPE_CHECKING:
    from frcnn.spec.config import Experiment

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
        log: TrainingLog,
        report: Callable[[], Report | None] = lambda: None,
        start: TrainingRecord | None = None,
        resumed: Path | None = None,
    ) -> None:
        """Files go to `folder`, sealed if there is a `key`.

        Args:
            spec: Says when, and how many to keep.
            folder: Made if missing.
            key: Of the files.
            log: What is known of the epochs so far.
            report: Gives the epoch's validation, or None if it had none.
            start: Of a resumed run, which must beat the best model of the run it goes on with.
            resumed: The checkpoint of `start`.
        """
        super().__init__()
        self._spec, self._folder, self._key = spec, folder, key
        self._log, self._report = log, report
        self._steps_done = start.step if start else 0
        self._text = effective_text(spec)
        self._snapshots: Snapshots | None = None
        self._background = Background()
        self._best_ap = -1.0
        self.latest: Path | None = None
        self.best: Path | None = None
        remove_leftovers(folder, self._path("*").name)
        if resumed is None:
            self._forget_earlier_runs()
        elif resumed.resolve().parent == folder.resolve():
            if self._path("best").is_file():
                self.best = self._path("best")
                self._best_ap = read_record(self.best, key).metrics.get("mAP", -1.0)
            write_index(folder, resumed, self.best)

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
            history=self._log.rows(),
        )

    def _write(self, snapshot: Snapshot, record: TrainingRecord, *, due: bool, better: bool) -> None:
        """Runs beside the training: no TensorFlow here."""
        best = self._path("best")
        if due:
            path = self._path(f"epoch_{record.epoch}")
            snapshot.save(path, record, self._key)
            self.latest = path
            log.info("saved %s", path)
        if better and due:
            with atomic_path(best) as temporary:
                shutil.copyfile(self._path(f"epoch_{record.epoch}"), temporary)
        elif better:
            snapshot.save(best, record, self._key)
            log.info("saved %s", best)
        if better:
            self.best = best
        # The index before the removal: at no moment does it name what is gone.
        write_index(self._folder, self.latest or checkpoint_in(self._folder, "latest"), self.best)
        if due:
            self._remove_old(record.epoch)

    def _path(self, tag: str) -> Path:
        arch = self._spec.model_config.arch.replace(":", "_")
        return self._folder / f"frcnn_{arch}.{tag}{'.tlt' if self._key else '.keras'}"

    def _remove_old(self, epoch: int) -> None:
        keep = self._spec.training_config.keep_checkpoints
        files = self._folder.glob(self._path("epoch_*").name)
        # Those of later epochs are an earlier run's.
        ours = sorted(
            (path for path in files if 0 < epoch_of(path.name) <= epoch), key=lambda path: epoch_of(path.name)
        )
        for path in ours[:-keep] if keep else []:
            path.unlink(missing_ok=True)

    def _forget_earlier_runs(self) -> None:
        """From now on the folder is this run's; files of an earlier one stay until epochs replace them."""
        earlier = sorted(path.name for path in self._folder.glob("frcnn_*.epoch_*") if path.is_file())
        if earlier:
            log.warning(
                "%s: has %d checkpoints of an earlier run; epochs of this one replace them",
                self._folder,
                len(earlier),
            )
        if earlier or self._folder.is_dir():
            write_index(self._folder, None, None)
