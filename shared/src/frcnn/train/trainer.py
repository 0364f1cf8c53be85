"""Training, from a checked spec to checkpoints: read `train` from top to bottom."""

import contextlib
import dataclasses
import logging
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from frcnn.data.pipeline import Dataset, training_dataset, validation_dataset
from frcnn.errors import DataError, RunError
from frcnn.model.build import build, training_settings
from frcnn.model.checkpoint import TrainingRecord, load_model
from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.placement import build_beside, plan_placement, spread
from frcnn.model.precision import set_precision
from frcnn.runtime.distributed import Place, World, join
from frcnn.runtime.status import StatusWriter
from frcnn.train.callbacks import Checkpoints, NanGuard, Reporter, Validation
from frcnn.train.devices import computing_devices, take_share
from frcnn.train.optimizers import optimizer
from frcnn.train.pretrained.load import load_pretrained
from frcnn.train.retrain import for_retraining, quantised
from frcnn.train.start import Start, choose_start, warn_of_unsupported
from frcnn.train.together import EpochMeans, start_together

if TYPE_CHECKING:
    from frcnn.spec.config import EarlyStopping, Experiment

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """`checkpoint` is the last one written, `best` the one of highest mAP (None without validation)."""

    checkpoint: Path | None
    best: Path | None
    epochs: int
    loss: float
    mean_ap: float | None

    def metrics(self) -> dict[str, float]:
        """Numbers worth showing on a run's page."""
        found = {"loss": self.loss, "epochs": float(self.epochs)}
        return found if self.mean_ap is None else {**found, "mAP": self.mean_ap}


def train(
    spec: "Experiment",
    results_dir: Path,
    *,
    key: str = "",
    amp: bool = False,
    strict: bool = False,
    world: World | None = None,
) -> TrainResult:
    """Trains the detector that the spec describes, together with the other ranks if there are any.

    Args:
        spec: A checked spec.
        results_dir: Gets the checkpoints and `status.json`, from rank 0; made if missing.
        key: Seals the checkpoints (`.tlt`); without one they are plain Keras archives (`.keras`).
        amp: Whether the layers compute in 16 bits (bfloat16 on a CPU, float16 on a GPU); weights, box
            arithmetic, losses and files are float32 all the same.
        strict: Whether an unreadable image ends the run at once instead of being left out.
        world: The ranks; default those that a launcher started, or this process alone.

    Raises:
        DataError: Nothing to train on.
        ModelError: A model the spec starts from cannot be used.
        RunError: The loss is no longer finite, the disk is full, or another rank is gone. Checkpoints
            written before stay.
    """
    world = join() if world is None else world
    here = world.place
    if here.size > 1:
        take_share(here, len(spec.training_config.model_parallelism) or 1)
    set_up(spec.random_seed + here.rank)
    start = choose_start(spec)
    warn_of_unsupported(spec)
    config = spec.training_config
    strict = strict and here.rank == 0  # one rank's look at all images is enough
    data = training_dataset(spec, rank=here.rank, world=here.size, strict=strict)
    validation = _validation(spec, here, strict)
    model, record = _begin(spec, start, key)
    if config.model_parallelism:
        devices = computing_devices()
        model = spread(model, plan_placement(model, config.model_parallelism, devices))
        log.info("layers on %d devices: %s", len(config.model_parallelism), ", ".join(devices))
    steps = data.steps_per_epoch
    if record.epoch:
        data = training_dataset(spec, rank=here.rank, world=here.size, start_epoch=record.epoch)
    if record.epoch >= config.num_epochs:
        raise RunError(
            f"{start.path}: has all of its {record.epoch} epochs; raise training_config.num_epochs to go on"
        )
    _compile(model, spec, steps, here, resumed=bool(record.epoch))
    if amp:
        set_precision(model, _mixed_policy())
    log.info("%d training images, %d steps an epoch, %d parameters", data.size, steps, model.count_params())
    validator = Validation(spec, validation, world) if validation else None
    checkpoints = Checkpoints(spec, results_dir, key, validator, start_step=record.step)
    callbacks: list[keras.callbacks.Callback] = [NanGuard(steps), *([validator] if validator else [])]
    with contextlib.ExitStack() as stack:
        stack.enter_context(world.guard())
        if here.size > 1:
            start_together(model, world, _facts(spec, data, validation, model, record))
            callbacks.insert(1, EpochMeans(world))
        if here.rank == 0:
            batch_size = config.batch_size_per_gpu * here.size
            reporter = Reporter(StatusWriter(results_dir), config.num_epochs, steps, batch_size, record.epoch)
            callbacks += [checkpoints, stack.enter_context(reporter)]
        if config.early_stopping is not None:
            callbacks.append(_early_stopping(config.early_stopping))
        history = model.fit(
            data.batches,
            steps_per_epoch=steps,
            epochs=config.num_epochs,
            initial_epoch=record.epoch,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
        world.barrier()  # nobody leaves while rank 0 writes: launchers end a run with its first process
    losses = history.history.get("loss", [math.nan])
    mean_ap = validator.report.mean_ap if validator and validator.report else None
    return TrainResult(checkpoints.latest, checkpoints.best, config.num_epochs, float(losses[-1]), mean_ap)


def set_up(seed: int) -> None:
    """Seeds everything, and makes equal runs give equal bits (3 % slower, worth it)."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _begin(spec: "Experiment", start: Start, key: str) -> tuple[FasterRCNN, TrainingRecord]:
    """The model to train on, and how far it is."""
    arch = spec.model_config.arch
    if start.kind == "resume":
        model, record = load_model(start.path, key, compiled=True)
        start.check(model, record, spec)
        log.info("resuming after epoch %d of %s", record.epoch, start.path)
        return model, record
    if start.kind == "retrain":
        model, record = load_model(start.path, key)
        start.check(model, record, spec)
        log.info("retraining %s", start.path)
        model = for_retraining(model, spec, start.path)
        return model, TrainingRecord(arch, model.geometry.class_names)
    log.info("starting from random weights, seed %d", spec.random_seed)
    model = build(spec)
    if spec.training_config.pretrained_weights:
        load_pretrained(model, Path(spec.training_config.pretrained_weights), key)
    model = quantised(model, spec)
    return model, TrainingRecord(arch, model.geometry.class_names)


def _compile(model: FasterRCNN, spec: "Experiment", steps: int, here: Place, *, resumed: bool) -> None:
    """Optimizer and losses as the spec says; a resumed model's slots and step count are carried over."""
    former = model.optimizer if resumed else None
    model.training_settings = training_settings(spec, here.rank)
    fresh = optimizer(spec.training_config, spec.training_config.num_epochs * steps, world=here.size)
    model.compile(optimizer=fresh, jit_compile=False)
    build_beside(model.optimizer, model.trainable_variables) if model.spread else model.optimizer.build(
        model.trainable_variables
    )
    if former is None:
        return
    if type(former) is not type(fresh) or len(former.variables) != len(fresh.variables):
        log.warning(
            "optimizer: was %s, is %s: its state starts anew",
            former.__class__.__name__,
            fresh.__class__.__name__,
        )
        fresh.iterations.assign(former.iterations)
        return
    for new, old in zip(fresh.variables, former.variables, strict=True):
        # The learning rate is a function of the step and of the spec; the rest is state.
        if new.path.split("/")[-1] != "learning_rate":
            new.assign(old)


def _early_stopping(config: "EarlyStopping") -> keras.callbacks.Callback:
    return keras.callbacks.EarlyStopping(
        monitor="loss", mode="min", min_delta=config.min_delta, patience=config.patience
    )


def _mixed_policy() -> str:
    return "mixed_float16" if tf.config.list_logical_devices("GPU") else "mixed_bfloat16"


def _facts(
    spec: "Experiment", data: Dataset, validation: Dataset | None, model: FasterRCNN, record: TrainingRecord
) -> dict[str, object]:
    """What ranks must agree on before the first step."""
    return {
        # Paths of records may differ from machine to machine.
        "CRC-32 of model_config and training_config": zlib.crc32(
            repr((spec.model_config, spec.training_config)).encode()
        ),
        "training images": data.size,
        "validation images": validation.size if validation else 0,
        "epochs done": record.epoch,
        "parameters": model.count_params(),
    }


def _validation(spec: "Experiment", here: Place, strict: bool) -> Dataset | None:
    """This rank's share of the validation set, or None with a word why there is no validation."""
    batch_size = spec.evaluation_config.batch_size
    try:
        return validation_dataset(spec, rank=here.rank, world=here.size, batch_size=batch_size, strict=strict)
    except DataError as error:
        if (
            spec.dataset_config.validation_fold is not None
            or spec.dataset_config.validation_data_source is not None
        ):
            raise
        log.warning("no validation during training: %s", error)
        return None
