"""Suggests next steps after an evaluation with a low mAP."""

from collections.abc import Iterator, Mapping
from typing import Any

from frcnn.console.foreign_text import printable

# mAP below which a training has probably gone wrong, rather than being short of data.
LOW_MAP = 0.3
# Share of the objects that the proposals should reach.
_ENOUGH_RECALL = 0.8
# After fewer epochs, a low mAP says nothing about anchors or data yet.
_FEW_EPOCHS = 10
# Fewer objects than this in a validation set say little about a class.
_FEW_OBJECTS = 5


def next_steps(metrics: Mapping[str, Any], epochs: int | None = None) -> str:
    """Returns suggestions, one line per step, most likely first; empty if mAP is not low.

    Args:
        metrics: Content of `metrics.json`, or `Report.to_dict()`.
        epochs: Number of epochs that the model was trained for; `None` if unknown.
    """
    mean_ap = metrics["mAP"]
    if mean_ap is not None and mean_ap >= LOW_MAP:
        return ""
    found = "unknown, because no object was labeled" if mean_ap is None else f"only {mean_ap:.2f}"
    classes = next(iter(metrics["iou"].values()))["classes"]
    steps = "".join(f"  - {step}\n" for step in _steps(classes, epochs))
    return f"mAP is {found}. What to try next:\n{steps}  - docs/troubleshooting.md explains more causes."


def _steps(classes: Mapping[str, Mapping[str, Any]], epochs: int | None) -> Iterator[str]:
    short = epochs is not None and epochs < _FEW_EPOCHS
    if short:
        trained = f"was trained for only {epochs} epoch{'' if epochs == 1 else 's'}"
        trained = trained if epochs else "has not been trained yet"
        yield (
            f"Train for longer first (--epochs): the model {trained}. "
            f"Before {_FEW_EPOCHS} epochs, a low mAP says little about anchors and data."
        )
    yield "Look at the boxes that the network is trained on: frcnn augment preview -e SPEC -o preview"
    yield _by_recall(classes, short=short)
    few = [printable(name) for name, each in classes.items() if each["objects"] < _FEW_OBJECTS]
    if few:
        yield f"Too few labeled objects to judge: {', '.join(few)}. Check target_class_mapping and the split."


def _by_recall(classes: Mapping[str, Mapping[str, Any]], *, short: bool) -> str:
    """Returns what the share of the objects that the proposals reach suggests.

    Args:
        classes: Results by class.
        short: Whether a longer training has been suggested already.
    """
    longer = "" if short else "train for more epochs (--epochs), or "
    train = f"{longer}start from pretrained weights (training_config.pretrained_weights)."
    total = sum(each["objects"] + each["difficult"] for each in classes.values())
    known = [each for each in classes.values() if each["rpn_recall"] is not None]
    if not total or not known:
        return train[0].upper() + train[1:]
    recall = sum(each["rpn_recall"] * (each["objects"] + each["difficult"]) for each in known) / total
    if recall >= _ENOUGH_RECALL:
        return f"The proposals reach {recall:.0%} of the objects, so the anchors fit: {train}"
    condition = "if it stays so after a longer training, " if short else ""
    return (
        f"The proposals reach {recall:.0%} of the objects: {condition}choose anchor_box_config.scale and "
        "ratio by the sizes of the objects in the network input, or enlarge the input."
    )
