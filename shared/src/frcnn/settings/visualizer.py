"""Settings of example images and Weights & Biases during training, resolved from the spec."""

import dataclasses
from dataclasses import dataclass

from frcnn.spec.schema.training import VisualizerConfig, WandbConfig


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


def visualizer_settings(config: VisualizerConfig, shown_score: float) -> VisualizerSettings:
    """Resolves the example images and the Weights & Biases run of a training.

    Args:
        config: Section of a checked spec.
        shown_score: Minimum score of the detections in example images, 0 to 1.

    Returns:
        Settings of the visualizer.
    """
    wandb = config.wandb_config
    run = _wandb_settings(wandb) if wandb is not None and wandb.enabled else None
    return VisualizerSettings(config.enabled, config.num_images, shown_score, run)


def _wandb_settings(config: WandbConfig) -> WandbSettings:
    """Resolves the run of Weights & Biases."""
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
