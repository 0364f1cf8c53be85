"""Names and states of a run's steps, from the server's description of the run."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

_DRIVER = "-driver"
_NOT_STARTED = ("RUNTIME_STATE_UNSPECIFIED", "PENDING")
RUNNING = ("RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "CANCELING", "PAUSED")


@dataclasses.dataclass(frozen=True)
class Step:
    """Step of a run.

    Attributes:
        name: Display name.
        state: State as the server reports it.
        seconds: Wall time. `None` while it runs.
        error: Error message; empty for none.
    """

    name: str
    state: str
    seconds: float | None
    error: str


def names(spec: Mapping[str, Any]) -> dict[str, list[str]]:
    """Collects the display names of steps by their keys in the pipeline spec.

    Args:
        spec: Compiled pipeline.

    Returns:
        Names by key, from the outermost pipeline inwards; several if nested pipelines use the same key.
    """
    found: dict[str, list[str]] = {}
    for key, name in _tasks(spec, spec["root"]["dag"]):
        found.setdefault(key, []).append(name)
    return found


def steps(run: Any, known: Mapping[str, list[str]]) -> list[Step]:
    """Returns the steps of a run that have started, in that order.

    Args:
        run: Run as kfp returns it.
        known: Names of steps from `names`. Other tasks (drivers, nested pipelines) are left out.

    Returns:
        Steps.
    """
    details = getattr(run.run_details, "task_details", None) or []
    ours = [each for each in details if each.display_name in known]
    # Steps without a time sort last. Steps with equal times keep the server's order.
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
    """Returns all states of a run whose changes indicate progress.

    Args:
        run: Run as kfp returns it.

    Returns:
        Tuples of names and states.
    """
    details = getattr(run.run_details, "task_details", None) or []
    return [(str(run.state), ""), *((str(each.display_name), str(each.state)) for each in details)]


def not_started(run: Any, found: list[Step]) -> str:
    """Describes which pod of a run has not started, for example for lack of its image.

    The server reports no more than that it is pending.

    Args:
        run: Run as kfp returns it.
        found: Steps of the run.

    Returns:
        Description; empty if no pod is pending.
    """
    details = getattr(run.run_details, "task_details", None) or []
    pending = [str(each.display_name) for each in details if each.state == "PENDING"]
    if not pending:
        waits = not details and run.state in (None, *_NOT_STARTED)
        return "no step has started" if waits else ""
    for name in pending:
        if name.endswith(_DRIVER):
            return f"step {name.removesuffix(_DRIVER)} has not started: the pod that prepares it is pending"
    started = [step.name for step in found if step.state in RUNNING]
    return f"step {started[-1] if started else pending[0]} has not started: its pod is pending"


def table(found: list[Step]) -> str:
    """Formats steps as a table.

    Args:
        found: Steps of a run.

    Returns:
        Lines of text.
    """
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
    return seconds if seconds >= 0 else None  # the server reports 1970 for steps that have not ended


def _error(detail: Any) -> str:
    """Returns the error of a step, or else the newest one in its state history."""
    history = getattr(detail, "state_history", None) or []
    for each in (detail, *reversed(history)):
        if each.error and each.error.message:
            return str(each.error.message)
    return ""
