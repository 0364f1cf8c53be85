"""Default search space: the fields with the largest effect on accuracy."""

from collections.abc import Iterator, Sequence

from frcnn.errors import UsageError
from frcnn.spec.archs import ARCHS
from frcnn.spec.schema.constraints import did_you_mean
from frcnn.tuning.space import Searched, Space
from frcnn.tuning.tuned_spec import TunedSpec

_RATE = "training_config.learning_rate"
_ANCHORS = "model_config.anchor_box_config.scale"
_ROIS = "model_config.roi_mini_batch"
_ARCH = "model_config.arch"
_SPATIAL = "augmentation_config.spatial_augmentation"
_COLOR = "augmentation_config.color_augmentation"
# Fractions of the training at which the rate falls, besides those of the spec: early, late, three steps.
_ANNEALING_POINTS = ("0.5, 0.75", "0.8, 0.95", "0.6, 0.8, 0.9")
_GAMMAS = (0.5, 1.0)


def default_space(spec: TunedSpec, archs: Sequence[str] = ()) -> Space:
    """Returns the default space around a spec. It contains the spec itself.

    Args:
        spec: Experiment spec.
        archs: Backbones to choose from; the spec's is always among them. Empty: only the spec's.

    Returns:
        Learning rate and schedule, scale of the anchors, number of RoIs, augmentation, and the backbone if
        `archs` names some.

    Raises:
        UsageError: An arch is unknown, or does not fit the spec's pretrained weights.
    """
    fields = [*_learning_rate(spec), *_model(spec), *_augmentation(spec)]
    if archs:
        fields.append(_arch(spec, archs))
    return Space(tuple(fields))


def _learning_rate(spec: TunedSpec) -> Iterator[Searched]:
    step, soft_start = spec.value(f"{_RATE}.step"), spec.value(f"{_RATE}.soft_start")
    base = f"{_RATE}.{'step' if soft_start is None else 'soft_start'}.base_lr"
    if any(spec.numbers(base)):
        yield Searched(base, low=0.25, high=4.0, log=True, base=spec.numbers(base))
    if step is not None:
        gamma = step.gamma
        yield Searched(f"{_RATE}.step.gamma", low=min(_GAMMAS[0], gamma), high=max(_GAMMAS[1], gamma))
    if soft_start is not None and soft_start.annealing_points:
        own = ", ".join(map(str, soft_start.annealing_points))
        points = [own, *(each for each in _ANNEALING_POINTS if each != own)]
        fitting = [each for each in points if soft_start.soft_start < float(each.partition(",")[0])]
        yield Searched(f"{_RATE}.soft_start.annealing_points", values=tuple(fitting))


def _model(spec: TunedSpec) -> Iterator[Searched]:
    yield Searched(_ANCHORS, low=0.7, high=1.4, log=True, base=spec.numbers(_ANCHORS), listed=True)
    rois = spec.value(_ROIS)
    sizes = sorted({max(8, rois // 2), rois, rois * 2})
    yield Searched(_ROIS, values=tuple(map(str, sizes)))


def _augmentation(spec: TunedSpec) -> Iterator[Searched]:
    if not spec.value("training_config.enable_augmentation"):
        return
    for field, low, high in (
        (f"{_SPATIAL}.zoom_min", 0.7, 1.0),
        (f"{_SPATIAL}.zoom_max", 1.0, 1.4),
        (f"{_COLOR}.saturation_shift_max", 0.0, 0.3),
        (f"{_COLOR}.contrast_scale_max", 0.0, 0.3),
    ):
        own = spec.value(field)
        yield Searched(field, low=min(low, own), high=max(high, own))


def _arch(spec: TunedSpec, archs: Sequence[str]) -> Searched:
    for each in archs:
        if each not in ARCHS:
            raise UsageError(f"arch {each!r}: unknown{did_you_mean(each, ARCHS)}", argument="archs")
    own = spec.value(_ARCH)
    names = tuple(dict.fromkeys([own, *archs]))
    if len(names) > 1 and spec.value("training_config.pretrained_weights"):
        raise UsageError(
            f"arch {names[1]}: training_config.pretrained_weights is set, and its weights fit {own} only. "
            "Remove it from the spec, or search one arch.",
            argument="archs",
        )
    return Searched(_ARCH, values=names)
