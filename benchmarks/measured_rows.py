"""Turns the JSON files of single benchmarks into rows of the pages."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.measured_pages import Row
from benchmarks.run_export import ROWS
from benchmarks.start_up import Start, medians

# Rows of `run_export` that README.md shows.
MAIN_EXPORTS = ("fp32 in frcnn, openvino", "int8, openvino")


def speed(found: list[dict[str, Any]]) -> list[Row]:
    """Makes the rows of `run_speed`.

    Args:
        found: Its JSON.

    Returns:
        One row per precision, batch size and phase.
    """
    rows = []
    for each in found:
        phase = {"train": "training step", "infer": "inference"}[each["phase"]]
        name = f"{phase}, {each['precision']}, batch {each['batch']}"
        own, peer = (each[f"{side}_report"]["peak_mib"] for side in ("ours", "peer"))
        row = _faster(name, each["peer"], each["ours"], f"{own:,.0f} MiB (torchvision {peer:,.0f})")
        rows.append(dataclasses.replace(row, main=each["batch"] == 1))
    return rows


def export(found: dict[str, Any]) -> list[Row]:
    """Makes the rows of `run_export`.

    Args:
        found: Its JSON.

    Returns:
        One row per measured variant.
    """
    rows = []
    for variant in (each for each in ROWS if each.name in found):
        own = found[variant.name]
        name = f"exported file, {variant.name}, compared with torchvision in {variant.peer}"
        memory = f"{own['report']['peak_mib']:,.0f} MiB"
        row = _faster(name, found[variant.peer]["wall"], own["wall"], memory)
        rows.append(dataclasses.replace(row, main=variant.name in MAIN_EXPORTS))
    return rows


def start_up(found: dict[str, Any]) -> list[Row]:
    """Makes the rows of `start_up`.

    Args:
        found: Its JSON.

    Returns:
        One row per runtime.
    """
    rows = []
    for name, runs in found.items():
        starts = [Start(tuple(run["stages"]), run["wall"], run["peak_mib"]) for run in runs]
        *_, cpu, wall, peak = medians(starts)
        totals = [sum(start.stages) for start in starts]
        spread = f"{min(totals):.2f} to {max(totals):.2f} CPU s"
        value, memory = f"{cpu:.2f} CPU s, {wall:.2f} s", f"{peak:,.0f} MiB"
        what = f"cold start to the first detections of an exported file, {name}"
        rows.append(Row(what, value, spread, memory, main=name == "onnxruntime"))
    return rows


def store(found: list[dict[str, Any]]) -> list[Row]:
    """Makes the rows of `store`.

    Args:
        found: Its JSON.

    Returns:
        One row per comparison.
    """
    return [_faster(f"{each['label']}, SDK: {each['what']}", each["other"], each["ours"]) for each in found]


def time_to_map(found: dict[str, Any]) -> list[Row]:
    """Makes the row of `time_to_map`.

    Args:
        found: Its JSON.

    Returns:
        One row; no speedup is claimed if a training did not reach the mAP.
    """
    name = f"minutes to mAP@0.5 {found['map']:g} on BCCD, {len(found['seeds'])} seeds"
    pairs = [(each["ours"], each["peer"]) for each in found["seeds"].values()]
    if any(minutes is None for pair in pairs for minutes in pair):
        return [Row(name, "not reached by all")]
    ours, peer = ([pair[side] for pair in pairs] for side in (0, 1))
    minutes = f"{statistics.median(ours):.1f} min (torchvision {statistics.median(peer):.1f})"
    return [dataclasses.replace(_faster(name, peer, ours, minutes), main=True)]


def _faster(name: str, other: Sequence[float], ours: Sequence[float], also: str = "") -> Row:
    """Makes a row of a speedup, whose ratios are taken pair by pair."""
    ratios = [theirs / own for theirs, own in zip(other, ours, strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return Row(name, f"{statistics.median(ratios):.2f} times as fast", spread, also)
