"""Typed, read-only form of `TrainingConfig`.

See `experiment.proto` for the meaning and unit of each field.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from frcnn.spec.schema.constraints import Choice, Keys, Range, ZeroIsNotSet
from frcnn.spec.schema.frozen_map import FrozenMap

NotNegative = Annotated[float, Range(">= 0")]
Positive = Annotated[float, Range("> 0")]
Share = Annotated[float, Range("[0, 1]")]
Decay = Annotated[float, Range("[0, 1)")]
OpenShare = Annotated[float, Range("(0, 1)")]
Count = Annotated[int, Range(">= 1")]

# Default documented in TAO's user guide.
CODE_WEIGHTS = FrozenMap({"x": 10.0, "y": 10.0, "w": 5.0, "h": 5.0})


class RegularizationType(enum.Enum):
    """Kind of weight regularization."""

    NO_REG = 0
    L1 = 1
    L2 = 2


class WandbMode(enum.Enum):
    """Modes of sending data to Weights & Biases."""

    ONLINE = 0
    OFFLINE = 1
    DISABLED = 2


@dataclass(frozen=True, kw_only=True)
class RegularizerConfig:
    """Weight regularization of kernels."""

    type: RegularizationType = RegularizationType.NO_REG
    weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class AdamOptimizerConfig:
    """Settings of the Adam optimizer."""

    lr: NotNegative = 1e-5
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Annotated[float, Range(">= 0"), ZeroIsNotSet()] = 1e-7
    decay: NotNegative = 0.0
    amsgrad: bool = False


@dataclass(frozen=True, kw_only=True)
class SgdOptimizerConfig:
    """Settings of stochastic gradient descent."""

    lr: NotNegative = 1e-5
    momentum: Decay = 0.0
    decay: NotNegative = 0.0
    nesterov: bool = False


@dataclass(frozen=True, kw_only=True)
class RmspropOptimizerConfig:
    """Settings of the RMSprop optimizer."""

    lr: NotNegative = 1e-5


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimizer. Exactly one field is set."""

    adam: AdamOptimizerConfig | None = None
    sgd: SgdOptimizerConfig | None = None
    rmsprop: RmspropOptimizerConfig | None = None


@dataclass(frozen=True, kw_only=True)
class SoftStartAnnealingConfig:
    """Learning rate schedule with warm-up and stepwise decay."""

    base_lr: NotNegative
    start_lr: NotNegative = 0.0
    soft_start: Share = 0.0
    annealing_points: tuple[Share, ...] = ()
    annealing_divider: Positive = 10.0


@dataclass(frozen=True, kw_only=True)
class StepLrConfig:
    """Learning rate schedule with exponential decay."""

    base_lr: NotNegative
    gamma: Share
    step_size: Annotated[float, Range("(0, 100]")]


@dataclass(frozen=True, kw_only=True)
class LRConfig:
    """Learning rate schedule. Exactly one field is set."""

    soft_start: SoftStartAnnealingConfig | None = None
    step: StepLrConfig | None = None


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Settings that stop training when the loss no longer decreases."""

    monitor: Annotated[str, Choice(("loss",))] = "loss"
    min_delta: NotNegative = 0.0
    patience: Count


@dataclass(frozen=True, kw_only=True)
class WandbConfig:
    """Settings of Weights & Biases."""

    enabled: bool = False
    key: str = field(default="", repr=False)
    project: str = ""
    entity: str = ""
    reinit: bool = False
    name: str = ""
    tags: tuple[str, ...] = ()
    wandb_dir: str = ""
    notes: str = ""
    mode: WandbMode = WandbMode.ONLINE


@dataclass(frozen=True, kw_only=True)
class ClearmlConfig:
    """Settings of ClearML."""

    project: str = ""
    task: str = ""
    tags: tuple[str, ...] = ()
    reuse_last_task_id: bool = False
    continue_last_task: bool = False
    deferred_init: bool = False


@dataclass(frozen=True, kw_only=True)
class VisualizerConfig:
    """Settings of TensorBoard, Weights & Biases and ClearML."""

    enabled: bool = False
    num_images: int = 3
    weight_histograms: bool = False
    wandb_config: WandbConfig | None = None
    clearml_config: ClearmlConfig | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of training."""

    retrain_pruned_model: str = ""
    rpn_min_overlap: OpenShare = 0.3
    rpn_max_overlap: Annotated[float, Range("(0, 1]")] = 0.7
    classifier_min_overlap: Annotated[float, Range("[0, 1)")] = 0.0
    classifier_max_overlap: Annotated[float, Range("(0, 1]")] = 0.5
    std_scaling: Positive = 1.0
    classifier_regr_std: Annotated[Mapping[str, Positive], Keys(("x", "y", "w", "h"))] = CODE_WEIGHTS
    pretrained_weights: str = ""
    num_epochs: Count = 20
    rpn_nms_max_boxes: Count = 2000
    rpn_nms_overlap_threshold: OpenShare = 0.7
    regularizer: RegularizerConfig = RegularizerConfig()
    rpn_pre_nms_top_N: Count = 12000
    rpn_mini_batch: Count = 256
    gt_as_roi: bool = False
    lambda_rpn_regr: Positive = 1.0
    lambda_rpn_class: Positive = 1.0
    lambda_cls_regr: Positive = 1.0
    lambda_cls_class: Positive = 1.0
    optimizer: OptimizerConfig
    learning_rate: LRConfig
    batch_size_per_gpu: Count
    resume_from_model: str = ""
    enable_augmentation: bool = True
    checkpoint_interval: Annotated[int, ZeroIsNotSet()] = 1
    enable_qat: bool = False
    model_parallelism: tuple[Positive, ...] = ()
    early_stopping: EarlyStopping | None = None
    visualizer: VisualizerConfig = VisualizerConfig()
    keep_checkpoints: int = 0
    save_best: bool = True
    qat_per_channel_weights: bool = False
    rpn_inside_anchors_only: bool = False
    average_weights: bool = False

    def fields_for_epochs(self, epochs: int) -> dict[str, int]:
        """Returns the fields to replace for a training of another length.

        Args:
            epochs: Number of epochs.

        Returns:
            Values by field name. A longer checkpoint interval is reduced to the length of the training.
        """
        interval = {"checkpoint_interval": epochs} if self.checkpoint_interval > epochs else {}
        return {"num_epochs": epochs, **interval}
