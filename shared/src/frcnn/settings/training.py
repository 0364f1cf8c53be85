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
from frcnn.settings.optimizer import OptimizerSettings, optimizer_settings
from frcnn.settings.visualizer import VisualizerSettings, visualizer_settings
from frcnn.spec.schema.experiment import Experiment
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
        early_stopping=None
        if stopping is None
        else EarlyStoppingSettings(stopping.min_delta, stopping.patience),
        visualizer=visualizer_settings(training.visualizer, spec.inference_config.bbox_visualize_threshold),
        parallelism=training.model_parallelism,
        average_weights=training.average_weights,
        spec_text=effective_text(spec),
    )


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
