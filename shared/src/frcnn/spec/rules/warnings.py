"""What a spec may say, but hardly means: yields remarks that the loader logs as warnings."""

import dataclasses
from collections.abc import Iterator

from frcnn.errors import Problem
from frcnn.spec.archs import FAMILIES, family_of
from frcnn.spec.schema.experiment import DataloaderMode, Experiment, ImageType, SamplingMode
from frcnn.spec.show import HIDDEN


def experiment_remarks(spec: Experiment) -> Iterator[Problem]:
    """Remarks on a spec without faults."""
    rules = (
        *(_backbone_options, _channel_order, _class_keys, _dataloader_mode, _source_weights),
        *(_short_sides, _training, _masked_key),
    )
    for rule in rules:
        yield from rule(spec)


def _backbone_options(spec: Experiment) -> Iterator[Problem]:
    config = spec.model_config
    effective = family_of(config.arch).options
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for option in sorted(set().union(*(family.options for family in FAMILIES.values())) - effective):
        value = getattr(config, option)
        if value != defaults[option]:
            families = ", ".join(name for name, family in FAMILIES.items() if option in family.options)
            shown = value.activation_type if option == "activation" else value
            yield Problem(
                f"model_config.{option}",
                f"found {shown}; without effect on {config.arch}, it is an option of {families}",
            )
    if config.arch.startswith("efficientnet"):
        unknown = [block for block in config.freeze_blocks if block not in family_of(config.arch).blocks]
        if unknown:
            yield Problem(
                "model_config.freeze_blocks", f"found {unknown[0]}; {config.arch} has the blocks 0 to 8"
            )


def _channel_order(spec: Experiment) -> Iterator[Problem]:
    config = spec.model_config.input_image_config
    if (config.image_channel_order == "l") != (config.image_type is ImageType.GRAY_SCALE):
        yield Problem(
            "model_config.input_image_config.image_channel_order",
            f'found "{config.image_channel_order}" with image_type {config.image_type.name}; '
            f"it is read as {'l' if config.channels == 1 else 'rgb'}",
        )


def _class_keys(spec: Experiment) -> Iterator[Problem]:
    for key in spec.dataset_config.target_class_mapping:
        if key != key.lower():
            yield Problem(
                f'dataset_config.target_class_mapping["{key}"].key',
                f'found "{key}"; classes in records are lower-case, so it is read as "{key.lower()}"',
            )


def _dataloader_mode(spec: Experiment) -> Iterator[Problem]:
    mode = spec.dataset_config.dataloader_mode
    if mode is not DataloaderMode.MULTISOURCE:
        yield Problem("dataset_config.dataloader_mode", f"found {mode.name}; it is read as MULTISOURCE")


def _source_weights(spec: Experiment) -> Iterator[Problem]:
    data = spec.dataset_config
    for index, source in enumerate(data.data_sources):
        if data.sampling_mode is SamplingMode.UNIFORM and source.source_weight != 1.0:
            yield Problem(
                f"dataset_config.data_sources[{index}].source_weight",
                f"found {source.source_weight:g}; without effect with sampling_mode UNIFORM, "
                "PROPORTIONAL goes by it",
            )


def _short_sides(spec: Experiment) -> Iterator[Problem]:
    size = spec.model_config.input_image_config.size_min
    short = spec.augmentation_config.preprocessing.output_image_min
    if size is not None and short not in (0, size.min):
        yield Problem(
            "augmentation_config.preprocessing.output_image_min",
            f"found {short}; the model's size_min {size.min} is what counts, in training as in inference",
        )


def _training(spec: Experiment) -> Iterator[Problem]:
    config = spec.training_config
    schedule = config.learning_rate.soft_start
    if schedule is not None and schedule.start_lr > schedule.base_lr:
        yield Problem(
            "training_config.learning_rate.soft_start.start_lr",
            f"found {schedule.start_lr:g}, more than base_lr {schedule.base_lr:g}",
        )
    if config.visualizer.clearml_config is not None:
        yield Problem("training_config.visualizer.clearml_config", "without effect; wandb_config has one")
    if config.checkpoint_interval > config.num_epochs:
        yield Problem(
            "training_config.checkpoint_interval",
            f"found {config.checkpoint_interval} with {config.num_epochs} epochs; no checkpoint is saved",
        )
    if config.qat_per_channel_weights and not config.enable_qat:
        yield Problem("training_config.qat_per_channel_weights", "without effect: enable_qat is false")
    if config.resume_from_model and config.retrain_pruned_model:
        yield Problem("training_config.retrain_pruned_model", "without effect: resume_from_model comes first")


def _masked_key(spec: Experiment) -> Iterator[Problem]:
    if spec.enc_key == HIDDEN:
        yield Problem("enc_key", "is masked, as in a copy of a spec; it is read as not set")
