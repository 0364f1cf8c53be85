"""Table of the layers that got weights, printed after loading."""

import dataclasses
from collections.abc import Iterable
from typing import Literal

NAME_WIDTH, STATUS_WIDTH = 90, 9
_RULE = NAME_WIDTH + STATUS_WIDTH


@dataclasses.dataclass(frozen=True)
class LayerStatus:
    """Result of loading weights into one layer of the model.

    Attributes:
        name: Name of the layer.
        kind: Class of the layer, such as `Conv2D`.
        status: `Yes`: weights were loaded from the file. `No`: the layer keeps its weights. `None`: the
            layer has no weights.
        reason: Reason for `No`; otherwise empty.
    """

    name: str
    kind: str
    status: Literal["Yes", "No", "None"]
    reason: str = ""


def status_table(statuses: Iterable[LayerStatus]) -> str:
    """Formats the table, 99 columns wide.

    Args:
        statuses: Status of each layer, in order.

    Returns:
        Lines of the table.
    """
    rows = [_row(f"{each.name}({each.kind})", each.status) for each in statuses]
    thick, thin = "=" * _RULE, "_" * _RULE
    return "\n".join([thin, _row("Layer(Type):", "Status:"), thick, *rows, thin])


def _row(name: str, status: str) -> str:
    return f"{name[: NAME_WIDTH - 1]:<{NAME_WIDTH}}{status:<{STATUS_WIDTH}}"
