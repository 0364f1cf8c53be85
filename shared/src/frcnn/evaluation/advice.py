"""Suggests next steps after an evaluation with a low mAP."""

from collections.abc import Iterator, Mapping
from typing import Any

from frcnn.console.foreign_text import printable

# mAP below which a training has probably gone wrong, rather than being short of data.
LOW_MAP = 0.3
# Share of the objects that the proposals should reach.
_ENOUGH_RECALL = 0.8
# Fewer objects than this in a validation set say little about a class.
_FEW_OBJECTS = 5


def next_steps(metrics: Mapping[str, Any]) -> str:
    """Returns suggestions, one line per step, most likely first; empty if mAP is not low.

    Args:
        metrics: Content of `metrics.json`, or `Report.to_dict()`.
    """
    mean_ap = metrics["mAP"]
    if mean_ap is not None and mean_ap >= LOW_MAP:
        return ""
    found = "unknown, because no object was labeled" if mean_ap is None else f"only {mean_ap:.2f}"
    classes = next(iter(metrics["iou"].values()))["classes"]
    steps = "".join(f"  - {step}\n" for step in _steps(classes))
    return f"mAP is {found}. What to try next:\n{steps}  - docs/troubleshooting.md explains more causes."


def _steps(classes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "Look at the boxes that the network is trained on: frcnn augment preview -e SPEC -o preview"
    total = sum(each["objects"] + each["difficult"] for each in classes.values())
    known = [each for each in classes.values() if each["rpn_recall"] is not None]
    seen = sum(each["rpn_recall"] * (each["objects"] + each["difficult"]) for each in known)
    if total and known:
        recall = seen / total
        if recall < _ENOUGH_RECALL:
            yield (
                f"The proposals reach {recall:.0%} of the objects: choose anchor_box_config.scale and ratio "
                "by the sizes of the objects in the network input, or enlarge the input."
            )
        else:
            yield (
                f"The proposals reach {recall:.0%} of the objects, so the anchors fit: train for more epochs "
                "(--epochs), or start from pretrained weights (training_config.pretrained_weights)."
            )
    else:
        yield (
            "Train for more epochs (--epochs), or start from pretrained weights "
            "(training_config.pretrained_weights)."
        )
    few = [printable(name) for name, each in classes.items() if each["objects"] < _FEW_OBJECTS]
    if few:
        yield f"Too few labeled objects to judge: {', '.join(few)}. Check target_class_mapping and the split."
