"""Opens a training: its data, and its model from the starting point."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.data.input.dataset import Dataset, training_dataset, validation_dataset
from frcnn.data.input.sources import files_in_both
from frcnn.distributed.world import RankInfo
from frcnn.errors import DataError
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import OptimizerState
from frcnn.model.files.training_record import TrainingRecord
from frcnn.settings.training import TrainingRun
from frcnn.training.callbacks.checkpoints import Checkpoints
from frcnn.training.callbacks.training_log import TrainingLog
from frcnn.training.devices import computing_devices
from frcnn.training.model_parallel import plan_placement, spread
from frcnn.training.starting_point import Start, begin, choose_start, counted
from frcnn.training.unvalidated import lacks_validation

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class OpenedRun:
    """Data, model and starting point of a training.

    Attributes:
        run: Settings of the training.
        folder: Results folder.
        key: Key that seals the checkpoints; empty for plain ones.
        start: Starting point.
        data: This rank's share of the training set, from the first epoch to train.
        validation: This rank's share of the validation set; `None` if there is none.
        model: Detector to train.
        saved: Training record in the file to start from.
        record: The same, with the steps counted in epochs of the current length.
        state: Optimizer state in that file; `None` if there is none.
    """

    run: TrainingRun
    folder: Path
    key: str
    start: Start
    data: Dataset
    validation: Dataset | None
    model: FasterRCNN
    saved: TrainingRecord
    record: TrainingRecord
    state: OptimizerState | None

    @property
    def unvalidated(self) -> bool:
        """Returns whether the checkpoint to resume from still needs its validation."""
        return lacks_validation(self.run, self.record)

    def complete(self, here: RankInfo) -> None:
        """Finishes the folder of a run that was killed after its last checkpoint."""
        if here.rank == 0 and self.start.path.resolve().parent == self.folder.resolve():
            rows = TrainingLog(self.folder, self.record.history)
            resumed = self.start.path
            Checkpoints(self.run, self.folder, self.key, rows, start=self.record, resumed=resumed).complete()


def open_run(run: TrainingRun, folder: Path, key: str, here: RankInfo, *, strict: bool) -> OpenedRun:
    """Opens the data, and loads or builds the model.

    Args:
        run: Settings of the training.
        folder: Results folder.
        key: Key that seals the checkpoints; empty for plain ones.
        here: Rank of this process.
        strict: Whether an unreadable image raises an error.

    Returns:
        The opened training.

    Raises:
        DataError: There is no training data.
        ModelError: The model to start from cannot be used.
        UsageError: The spec names a model file that does not exist.
    """
    start = choose_start(run.start)
    strict = strict and here.rank == 0  # rank 0 checks all images
    data = training_dataset(run.data, rank=here.rank, world=here.size, strict=strict)
    validation = _validation(run, here, strict)
    model, saved, state = begin(run, start, key)
    model = _spread(model, run.parallelism)
    record = counted(saved, data.steps_per_epoch)
    if record.epoch:
        data = training_dataset(run.data, rank=here.rank, world=here.size, start_epoch=record.epoch)
    return OpenedRun(run, folder, key, start, data, validation, model, saved, record, state)


def _spread(model: FasterRCNN, fractions: Sequence[float]) -> FasterRCNN:
    if not fractions:
        return model
    devices = computing_devices()
    log.info("Layers are spread over %d devices: %s", len(fractions), ", ".join(devices))
    return spread(model, plan_placement(model, fractions, devices))


def _validation(run: TrainingRun, here: RankInfo, strict: bool) -> Dataset | None:
    """Creates this rank's share of the validation set; `None`, with a warning, if there is none."""
    size = run.validation.batch_size
    try:
        data = validation_dataset(run.data, rank=here.rank, world=here.size, batch_size=size, strict=strict)
    except DataError as error:
        if run.data.has_validation:
            raise
        log.warning("No validation during training: %s", error)
        return None
    if here.rank == 0 and (shared := files_in_both(run.data)):
        log.warning(
            "%d record files are used for training and for validation, such as %s, so the mAP says little "
            "about other images; give other records in dataset_config.validation_data_source",
            len(shared),
            printable(shared[0], None),
        )
    return data
