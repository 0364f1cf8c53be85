"""Which layers got weights: the table that is printed after loading."""

import dataclasses
from collections.abc import Iterable
from typing import Literal

NAME_WIDTH, STATUS_WIDTH = 90, 9
_RULE = NAME_WIDTH + STATUS_WIDTH


@dataclasses.dataclass(frozen=True)
class LayerStatus:
    """What loading did to one layer of the model.

    Attributes:
        name: The layer's name.
        kind: Its class, such as `Conv2D`.
        status: `Yes`: its weights came from the file. `No`: it has weights, and they stayed as they were.
            `None`: it has no weights.
        reason: Why not; empty for `Yes` and `None`.
    """

    name: str
    kind: str
    status: Literal["Yes", "No", "None"]
    reason: str = ""


def status_table(statuses: Iterable[LayerStatus]) -> str:
    """The table as text, 99 columns wide."""
    rows = [_row(f"{each.name}({each.kind})", each.status) for each in statuses]
    thick, thin = "=" * _RULE, "_" * _RULE
    return "\n".join([thin, _row("Layer(Type):", "Status:"), thick, *rows, thin])


def _row(name: str, status: str) -> str:
    return f"{name[: NAME_WIDTH - 1]:<{NAME_WIDTH}}{status:<{STATUS_WIDTH}}"
