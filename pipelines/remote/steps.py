"""The steps of a run on a cluster: their names and states, out of what the server tells of it."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

_DRIVER = "-driver"
_NOT_BEGUN = ("RUNTIME_STATE_UNSPECIFIED", "PENDING")
RUNNING = ("RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "CANCELING", "PAUSED")


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of a run; `seconds` is None while it runs."""

    name: str
    state: str
    seconds: float | None
    error: str


def names(spec: Mapping[str, Any]) -> dict[str, list[str]]:
    """The steps' names by their keys in the pipeline spec, from the root inwards: train is train, retrain."""
    found: dict[str, list[str]] = {}
    for key, name in _tasks(spec, spec["root"]["dag"]):
        found.setdefault(key, []).append(name)
    return found


def steps(run: Any, known: Mapping[str, list[str]]) -> list[Step]:
    """The steps of a run that have begun, in that order.

    Args:
        run: As the server gives it.
        known: From `names`. What the server lists beside steps (drivers, nested pipelines) is left out.
    """
    details = getattr(run.run_details, "task_details", None) or []
    ours = [each for each in details if each.display_name in known]
    # Those that have not begun carry no time; those that began at once keep the server's order.
    ours.sort(key=lambda each: str(each.start_time or each.create_time or "~"))
    seen: dict[str, int] = {}
    found = []
    for each in ours:
        nth = seen.get(each.display_name, 0)
        seen[each.display_name] = nth + 1
        labels = known[each.display_name]
        found.append(
            Step(labels[min(nth, len(labels) - 1)], each.state or RUNNING[0], _seconds(each), _error(each))
        )
    return found


def states(run: Any) -> list[tuple[str, str]]:
    """Everything of a run that the server shows to change while it gets on."""
    details = getattr(run.run_details, "task_details", None) or []
    return [(str(run.state), ""), *((str(each.display_name), str(each.state)) for each in details)]


def not_started(run: Any, found: list[Step]) -> str:
    """Says which pod of a run has not started yet, as one whose image cannot be pulled; empty if none.

    A server shows no more of it than that it is pending.
    """
    details = getattr(run.run_details, "task_details", None) or []
    pending = [str(each.display_name) for each in details if each.state == "PENDING"]
    if not pending:
        waits = not details and run.state in (None, *_NOT_BEGUN)
        return "nothing of it has started" if waits else ""
    for name in pending:
        if name.endswith(_DRIVER):
            return f"step {name.removesuffix(_DRIVER)} has not started: the pod that prepares it is pending"
    begun = [step.name for step in found if step.state in RUNNING]
    return f"step {begun[-1] if begun else pending[0]} has not started: its pod is pending"


def table(found: list[Step]) -> str:
    """Lines for people."""
    lines = [f"{'step':<20}{'state':<12}{'seconds':>8}"]
    for step in found:
        seconds = "" if step.seconds is None else f"{step.seconds:.0f}"
        lines.append(f"{step.name:<20}{step.state.lower():<12}{seconds:>8}")
        if step.error:
            lines.append(f"  {step.error}")
    return "\n".join(lines) + "\n"


def _tasks(spec: Mapping[str, Any], dag: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    nested = []
    for key, task in dag["tasks"].items():
        component = spec["components"][task["componentRef"]["name"]]
        if "dag" in component:
            nested.append(component["dag"])
        else:
            yield key, task["taskInfo"]["name"]
    for each in nested:
        yield from _tasks(spec, each)


def _seconds(detail: Any) -> float | None:
    if detail.start_time is None or detail.end_time is None:
        return None
    seconds: float = (detail.end_time - detail.start_time).total_seconds()
    return seconds if seconds >= 0 else None  # the server writes 1970 for what has not ended


def _error(detail: Any) -> str:
    """What the server says of a failure: of the step itself, or when its state was last written down."""
    history = getattr(detail, "state_history", None) or []
    for each in (detail, *reversed(history)):
        if each.error and each.error.message:
            return str(each.error.message)
    return ""
