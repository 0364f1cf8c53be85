"""Derives findings from a survey: properties that are likely to hurt a training, in sentences."""

import dataclasses
from collections import Counter
from typing import Literal

from frcnn.survey.duplicates import Duplicates, across_folds
from frcnn.survey.network_input import NetworkInput
from frcnn.survey.statistics import AnchorSettings, ClassCounts, Statistics
from frcnn.survey.tables import Tables
from frcnn.survey.wording import counted, percent

Weight = Literal["problem", "warning", "note"]

# Share of objects or images from which a property is worth a warning.
MANY = 0.05
# Fewer objects of a class are too few to learn from.
FEW_OBJECTS = 20
# Gain in the share of objects with a good anchor that is worth changing the anchors for.
WORTH_NEW_ANCHORS = 0.1
_NAMED = 5
# Findings of one kind to list.
MAX_OF_A_CODE = 20
_COSTS = {"image": "the image is skipped", "box": "the box is skipped", "nothing": "it is used"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One judgment.

    Attributes:
        code: Name for programs, such as `leak`.
        weight: `problem`: results will be wrong; `warning`: accuracy will suffer; `note`: worth knowing.
        text: One or two sentences for people.
    """

    code: str
    weight: Weight
    text: str


def judge(
    tables: Tables,
    found: Statistics,
    duplicates: Duplicates,
    network: NetworkInput,
    settings: AnchorSettings,
    mapped: frozenset[str] | None,
) -> list[Finding]:
    """Derives the findings of a survey.

    Args:
        tables: Survey of the data sets.
        found: Its counts.
        duplicates: Images that occur several times.
        network: Network input.
        settings: Anchors of the spec, if there is one.
        mapped: Stored names of the classes that the spec maps; `None` without a spec.

    Returns:
        Findings, the most serious first.
    """
    findings = [
        *_leaks(tables, duplicates),
        *_faults(tables),
        *(Finding("left_out", "warning", f"{note}.") for each in tables.sources for note in each.notes),
        *_classes(tables, found),
        *_mapping(found, mapped),
        *_images(found),
        *_objects(found, network),
        *_anchors(found, settings),
    ]
    order = {"problem": 0, "warning": 1, "note": 2}
    return sorted(_limited(findings), key=lambda each: order[each.weight])


def _limited(findings: list[Finding]) -> list[Finding]:
    """Keeps the first findings of each code and counts the others, because every class may have one."""
    kept: list[Finding] = []
    counts: Counter[str] = Counter()
    for each in findings:
        counts[each.code] += 1
        if counts[each.code] <= MAX_OF_A_CODE:
            kept.append(each)
    for code, count in counts.items():
        if count > MAX_OF_A_CODE:
            weight = next(each.weight for each in kept if each.code == code)
            kept.append(Finding(code, weight, f"{count - MAX_OF_A_CODE} more findings of this kind."))
    return kept


def _leaks(tables: Tables, duplicates: Duplicates) -> list[Finding]:
    findings = []
    for groups, what, certain in (
        (duplicates.exact, "equal files", True),
        (duplicates.similar, "images that look the same", False),
    ):
        leaks = across_folds(groups, tables)
        if leaks:
            weight: Weight = "problem" if certain else "warning"
            text = (
                f"{counted(len(leaks), 'group')} of {what} in several folds, such as "
                f"{_names(tables, leaks[0])}. Validation then measures memorization; keep such "
                "images in one fold."
            )
            findings.append(Finding("leak" if certain else "similar_across_folds", weight, text))
        within = len(groups) - len(leaks)
        if within:
            first = next(group for group in groups if group not in leaks)
            text = f"{counted(within, 'group')} of {what} within a fold, such as {_names(tables, first)}."
            findings.append(Finding("duplicates" if certain else "similar", "note", text))
    return findings


def _names(tables: Tables, group: tuple[int, ...]) -> str:
    """Returns two images of a group with their folds, from different folds if possible."""
    folds = tables.images["fold"]
    other = next((number for number in group if folds[number] != folds[group[0]]), group[1])
    return " and ".join(_name(tables, number) for number in (group[0], other))


def _name(tables: Tables, number: int) -> str:
    place, fold = tables.place(number), int(tables.images["fold"][number])
    return f"{place.source.reader.path(place.job).name} ({tables.folds[fold]})"


def _faults(tables: Tables) -> list[Finding]:
    findings = []
    for kind, count in tables.issues.most_common():
        example = next((str(each) for each in tables.first_issues if each.kind is kind), "")
        such = f", such as {example}" if example else ""
        weight: Weight = "note" if kind.cost == "nothing" else "warning"
        findings.append(Finding("faulty_data", weight, f"{count} x {kind} ({_COSTS[kind.cost]}){such}."))
    return findings


def _classes(tables: Tables, found: Statistics) -> list[Finding]:
    findings = []
    for each in found.classes:
        if not each.total:
            text = f"Class {each.name} has no object in any fold."
            findings.append(Finding("class_without_objects", "warning", text))
            continue
        missing = [
            name
            for number, name in enumerate(tables.folds)
            if found.images[number] and not each.objects[number]
        ]
        if missing:
            text = (
                f"Class {each.name} has no object in {', '.join(missing)}, but {each.total} in the other "
                "folds. It cannot be learned or validated there."
            )
            findings.append(Finding("class_missing_in_fold", "problem", text))
        if each.total < FEW_OBJECTS:
            text = f"Class {each.name} has only {counted(each.total, 'object')}: too few to learn from."
            findings.append(Finding("few_objects", "warning", text))
    if not found.objects:
        findings.append(Finding("no_objects", "problem", "No image has a labeled object."))
    return findings


def _mapping(found: Statistics, mapped: frozenset[str] | None) -> list[Finding]:
    if mapped is None:
        return []
    names = {each.name: each for each in found.classes if each.total}
    ignored = [each for name, each in names.items() if name not in mapped]
    findings = []
    if ignored:
        listed = ", ".join(f"{each.name} ({each.total})" for each in ignored[:_NAMED])
        text = f"The spec does not map {counted(len(ignored), 'class')} with objects: {listed}."
        findings.append(Finding("unmapped_classes", "warning", text))
    absent = sorted(mapped - set(names))
    if absent:
        text = f"The spec maps {counted(len(absent), 'class')} without objects: {', '.join(absent[:_NAMED])}."
        findings.append(Finding("mapped_without_objects", "warning", text))
    return findings


def _images(found: Statistics) -> list[Finding]:
    total, findings = int(found.images.sum()), []
    empty = int(found.without_objects.sum())
    if empty:
        weight: Weight = "warning" if empty > total / 2 else "note"
        text = f"{_share(empty, total)} images have no object; training on them learns background only."
        findings.append(Finding("images_without_objects", weight, text))
    if found.turned:
        text = (
            f"{_share(found.turned, total)} images have an EXIF orientation. If labels were drawn on the "
            "rotated images, convert with --apply_exif; otherwise boxes are in the wrong places."
        )
        findings.append(Finding("exif_turned", "warning", text))
    if found.unused_bits:
        text = f"{_share(found.unused_bits, total)} images use fewer than their 16 bits per channel."
        findings.append(Finding("unused_bits", "note", text))
    kinds = {_CHANNELS.get(number, "unknown"): count for number, count in found.channels.items() if number}
    if len(kinds) > 1:
        listed = ", ".join(f"{count} {name}" for name, count in sorted(kinds.items()))
        findings.append(Finding("mixed_channels", "note", f"The images differ in their channels: {listed}."))
    if found.stretched > MANY * total:
        text = (
            f"{_share(found.stretched, total)} images are stretched by more than a quarter in the network "
            "input, since their aspect ratio differs. See size_min for inputs that keep it."
        )
        findings.append(Finding("stretched", "note", text))
    return findings


_CHANNELS = {1: "gray", 2: "gray with transparency", 3: "color", 4: "color with transparency"}


def _objects(found: Statistics, network: NetworkInput) -> list[Finding]:
    findings = []
    if found.outside > MANY * found.objects:
        text = (
            f"{_share(found.outside, found.objects)} objects have more than a quarter of their box outside "
            "of the image. If they are not cut off, the labels belong to images of another size, or mix up "
            "width and height with the second corner."
        )
        findings.append(Finding("boxes_outside", "warning", text))
    if found.crowded:
        verb = "has" if found.crowded == 1 else "have"
        text = (
            f"{counted(found.crowded, 'image')} {verb} more than {network.max_objects} objects "
            f"(max_objects_num_per_image): the {found.cut_off} smallest of them are ignored."
        )
        findings.append(Finding("crowded", "warning", text))
    if found.dropped:
        weight: Weight = "warning" if found.dropped > MANY * found.objects else "note"
        text = (
            f"{_share(found.dropped, found.objects)} objects are too small for training in the network "
            f"input (min_bbox_width {network.min_width:g}, min_bbox_height {network.min_height:g} px)."
        )
        findings.append(Finding("dropped_objects", weight, text))
    if found.below_stride > MANY * found.objects:
        text = (
            f"{_share(found.below_stride, found.objects)} objects are smaller than the stride of "
            f"{network.stride} px in the network input. They are rarely detected; use a larger input, "
            "or cut the images into tiles."
        )
        findings.append(Finding("tiny_objects", "warning", text))
    return findings


def _anchors(found: Statistics, settings: AnchorSettings) -> list[Finding]:
    if settings.anchors is None or not found.given.objects:
        return []
    given, fitted = (each.to_dict() for each in (found.given, found.fitted))
    gain = max(fitted["full_share"] - given["full_share"], given["missed_share"] - fitted["missed_share"])
    if gain >= WORTH_NEW_ANCHORS:
        text = (
            f"The anchors fit badly: {given['full_share']:.0%} of the objects have an anchor at IoU "
            f"{settings.max_overlap:g}, and {given['missed_share']:.0%} none at {settings.min_overlap:g}. "
            f"With anchors fitted to the data, these are {fitted['full_share']:.0%} and "
            f"{fitted['missed_share']:.0%} ({found.fitted_anchors})."
        )
        return [Finding("bad_anchors", "warning", text), *_class_anchors(found.classes)]
    return _class_anchors(found.classes)


def _class_anchors(classes: list[ClassCounts]) -> list[Finding]:
    """Finds classes without a good anchor, which an average over all classes hides."""
    findings = []
    for each in classes:
        given, fitted = each.given.to_dict(), each.fitted.to_dict()
        if each.given.objects and given["missed_share"] > 0.5 > fitted["missed_share"]:
            text = (
                f"{given['missed_share']:.0%} of the objects of class {each.name} have no anchor; "
                f"{fitted['missed_share']:.0%} with fitted anchors."
            )
            findings.append(Finding("class_without_anchors", "warning", text))
    return findings


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({percent(part, max(1, whole))})"
