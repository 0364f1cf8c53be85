"""Resolves everything that a training takes from the spec."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from frcnn.data.settings import DataSettings
from frcnn.evaluation.settings import EvaluationSettings
from frcnn.model.settings import DetectionSettings, ModelSettings, TrainingSettings
from frcnn.settings.data import data_settings
from frcnn.settings.evaluation import evaluation_settings
from frcnn.settings.model import detection_settings, model_settings, training_settings
from frcnn.spec.schema.experiment import (
    EarlyStopping,
    Experiment,
    LRConfig,
    TrainingConfig,
    VisualizerConfig,
    WandbConfig,
)
from frcnn.spec.show import effective_text


@dataclass(frozen=True)
class StartSettings:
    """Model files to start from, as named in the spec; empty for none.

    Attributes:
        resume_from_model: Checkpoint to resume, or a results folder.
        retrain_pruned_model: Model whose layers and weights are used, or a results folder.
        pretrained_weights: File of backbone weights.
    """

    resume_from_model: str = ""
    retrain_pruned_model: str = ""
    pretrained_weights: str = ""


@dataclass(frozen=True)
class SoftStartSettings:
    """Learning rate that rises linearly and is divided at each annealing point.

    Attributes:
        base: Learning rate after the soft start.
        start: Learning rate of step 0.
        soft_start: Length of the soft start, as a fraction of all steps.
        points: Annealing points, as fractions of all steps.
        divider: Divisor of the learning rate at each annealing point.
    """

    base: float
    start: float
    soft_start: float
    points: tuple[float, ...]
    divider: float


@dataclass(frozen=True)
class ExponentialSettings:
    """Learning rate that falls exponentially.

    Attributes:
        base: Learning rate of step 0.
        gamma: Factor of the learning rate per interval.
        step_size: Length of the interval, in percent of all steps.
    """

    base: float
    gamma: float
    step_size: float


@dataclass(frozen=True)
class AdamSettings:
    """Settings of the Adam optimizer."""

    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool


@dataclass(frozen=True)
class SgdSettings:
    """Settings of stochastic gradient descent."""

    momentum: float
    nesterov: bool


@dataclass(frozen=True)
class RmspropSettings:
    """RMSprop; the spec sets none of its parameters."""


@dataclass(frozen=True)
class OptimizerSettings:
    """Optimizer and learning rate.

    Attributes:
        method: Optimizer with its parameters.
        schedule: Learning rate schedule.
        decay: Decay on top of the schedule: the rate is divided by 1 + decay * step.
    """

    method: AdamSettings | SgdSettings | RmspropSettings
    schedule: SoftStartSettings | ExponentialSettings
    decay: float = 0.0


@dataclass(frozen=True)
class QuantizationSettings:
    """Settings of quantization-aware training.

    Attributes:
        enabled: Whether kernels and activations are rounded to 8 bits.
        per_channel: Whether each output channel of a kernel has its own range.
    """

    enabled: bool = False
    per_channel: bool = False


@dataclass(frozen=True)
class CheckpointSettings:
    """Checkpoints to write.

    Attributes:
        interval: Number of epochs between checkpoints; more than there are for none.
        keep: Number of checkpoints to keep; 0 for all.
        save_best: Whether to keep the checkpoint with the highest mAP too.
    """

    interval: int = 1
    keep: int = 0
    save_best: bool = True


@dataclass(frozen=True)
class EarlyStoppingSettings:
    """Stop of a training whose loss no longer decreases.

    Attributes:
        min_delta: Smallest decrease that counts.
        patience: Number of epochs to wait for a decrease.
    """

    min_delta: float
    patience: int


@dataclass(frozen=True)
class ValidationSettings:
    """Validation during training.

    Attributes:
        period: Number of epochs between validations.
        batch_size: Images per batch.
        detection: Settings of proposals and final NMS.
        evaluation: Settings by which detections are judged.
    """

    period: int
    batch_size: int
    detection: DetectionSettings
    evaluation: EvaluationSettings


@dataclass(frozen=True)
class WandbSettings:
    """Run of Weights & Biases; empty texts are not set.

    Attributes:
        key: Key of the service; empty to use that of the environment.
        mode: `online`, `offline` or `disabled`.
        project: Project.
        entity: User or team.
        name: Name of the run.
        tags: Tags of the run.
        notes: Description of the run.
        folder: Folder of the local files; empty for the results folder.
        reinit: Whether to finish a run that is still open.
    """

    key: str = dataclasses.field(repr=False)
    mode: str
    project: str
    entity: str
    name: str
    tags: tuple[str, ...]
    notes: str
    folder: str
    reinit: bool


@dataclass(frozen=True)
class VisualizerSettings:
    """TensorBoard and Weights & Biases.

    Attributes:
        tensorboard: Whether to write TensorBoard logs.
        images: Number of images in the logs.
        shown_score: Lowest score of detections in these images, 0 to 1.
        wandb: Run of Weights & Biases; None for none.
    """

    tensorboard: bool
    images: int
    shown_score: float
    wandb: WandbSettings | None


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Everything that a training takes from the spec.

    Attributes:
        epochs: Total number of epochs.
        seed: Random seed.
        data: Records, classes and augmentation.
        model: Graph of the detector.
        losses: Matching, sampling and losses; their seed is that of rank 0.
        optimizer: Optimizer and learning rate.
        start: Model files to start from.
        quantization: Quantization-aware training.
        checkpoints: Checkpoints to write.
        validation: Validation during training.
        early_stopping: Stop before the last epoch; None for none.
        visualizer: TensorBoard and Weights & Biases.
        parallelism: Shares of the devices that the layers are spread over; empty for one device.
        average_weights: Whether checkpoints contain averages of the weights.
        spec_text: Text of the spec with all effective values and without keys; checkpoints contain it.
    """

    epochs: int
    seed: int
    data: DataSettings
    model: ModelSettings
    losses: TrainingSettings
    optimizer: OptimizerSettings
    start: StartSettings
    quantization: QuantizationSettings
    checkpoints: CheckpointSettings
    validation: ValidationSettings
    early_stopping: EarlyStoppingSettings | None
    visualizer: VisualizerSettings
    parallelism: tuple[float, ...]
    average_weights: bool
    spec_text: str = dataclasses.field(repr=False)

    def resumed_from(self, checkpoint: Path) -> "TrainingRun":
        """Returns a copy that resumes from a checkpoint."""
        names = {"resume_from_model": str(checkpoint), "retrain_pruned_model": ""}
        return dataclasses.replace(self, start=dataclasses.replace(self.start, **names))


def training_run(spec: Experiment) -> TrainingRun:
    """Resolves everything that a training takes from the spec.

    Args:
        spec: Checked spec.

    Returns:
        Settings of the training.
    """
    training = spec.training_config
    stopping = training.early_stopping
    return TrainingRun(
        epochs=training.num_epochs,
        seed=spec.random_seed,
        data=data_settings(spec),
        model=model_settings(spec),
        losses=training_settings(spec),
        optimizer=optimizer_settings(training),
        start=StartSettings(
            training.resume_from_model, training.retrain_pruned_model, training.pretrained_weights
        ),
        quantization=QuantizationSettings(training.enable_qat, training.qat_per_channel_weights),
        checkpoints=CheckpointSettings(
            training.checkpoint_interval, training.keep_checkpoints, training.save_best
        ),
        validation=validation_settings(spec),
        early_stopping=None if stopping is None else early_stopping_settings(stopping),
        visualizer=_visualizer(training.visualizer, spec.inference_config.bbox_visualize_threshold),
        parallelism=training.model_parallelism,
        average_weights=training.average_weights,
        spec_text=effective_text(spec),
    )


def optimizer_settings(training: TrainingConfig) -> OptimizerSettings:
    """Resolves optimizer and learning rate. The `lr` field of an optimizer has no effect, as in TAO.

    Args:
        training: Section of a checked spec.

    Returns:
        Settings of the optimizer.
    """
    chosen, schedule = training.optimizer, schedule_settings(training.learning_rate)
    if chosen.adam is not None:
        adam = chosen.adam
        method = AdamSettings(adam.beta_1, adam.beta_2, adam.epsilon, adam.amsgrad)
        return OptimizerSettings(method, schedule, adam.decay)
    if chosen.sgd is not None:
        sgd = chosen.sgd
        return OptimizerSettings(SgdSettings(sgd.momentum, sgd.nesterov), schedule, sgd.decay)
    return OptimizerSettings(RmspropSettings(), schedule)


def schedule_settings(config: LRConfig) -> SoftStartSettings | ExponentialSettings:
    """Resolves the learning rate schedule.

    Args:
        config: Section of a checked spec.

    Returns:
        Settings of the schedule.

    Raises:
        ValueError: The section sets neither `soft_start` nor `step`, so it was not checked.
    """
    soft, step = config.soft_start, config.step
    if soft is not None:
        return SoftStartSettings(
            soft.base_lr,
            soft.start_lr,
            soft.soft_start,
            tuple(soft.annealing_points),
            soft.annealing_divider,
        )
    if step is None:
        raise ValueError("a checked spec has one of soft_start and step")
    return ExponentialSettings(step.base_lr, step.gamma, step.step_size)


def validation_settings(spec: Experiment) -> ValidationSettings:
    """Resolves the validation during training.

    Args:
        spec: Checked spec.

    Returns:
        Settings of the validation.
    """
    config = spec.evaluation_config
    return ValidationSettings(
        config.validation_period_during_training,
        config.batch_size,
        detection_settings(config),
        evaluation_settings(spec),
    )


def early_stopping_settings(config: EarlyStopping) -> EarlyStoppingSettings:
    """Resolves the stop before the last epoch.

    Args:
        config: Section of a checked spec.

    Returns:
        Settings of the stop.
    """
    return EarlyStoppingSettings(config.min_delta, config.patience)


def _visualizer(config: VisualizerConfig, shown_score: float) -> VisualizerSettings:
    wandb = config.wandb_config
    run = wandb_settings(wandb) if wandb is not None and wandb.enabled else None
    return VisualizerSettings(config.enabled, config.num_images, shown_score, run)


def wandb_settings(config: WandbConfig) -> WandbSettings:
    """Resolves the run of Weights & Biases.

    Args:
        config: Section of a checked spec.

    Returns:
        Settings of the run.
    """
    return WandbSettings(
        key=config.key,
        mode=config.mode.name.lower(),
        project=config.project,
        entity=config.entity,
        name=config.name,
        tags=config.tags,
        notes=config.notes,
        folder=config.wandb_dir,
        reinit=config.reinit,
    )
