"""Formats a loaded spec as protobuf text with all effective values. The text loads to the same spec."""

import dataclasses
import enum
from collections.abc import Iterator, Mapping

from google.protobuf import text_encoding

from frcnn.spec.schema.from_message import schema_fields
from frcnn.spec.textproto.positions import Positions

HIDDEN = "********"
_SECRETS = ("enc_key", "training_config.visualizer.wandb_config.key")
_DEFAULT = "  # default"
_SET = "  # --set"


def render(config: object, positions: Positions, *, show_keys: bool = False) -> str:
    """Formats a spec and marks defaults and values set with `--set`.

    Messages, lists and maps that are not set are omitted.

    Args:
        config: Spec object.
        positions: Positions of the fields that are set; all others are marked as defaults.
        show_keys: Whether to show keys; otherwise they are replaced by asterisks.

    Returns:
        Protobuf text with comments.
    """
    return "".join(f"{line}\n" for line in _lines(config, positions, "", show_keys))


class _All:
    """Positions for which every field is set."""

    def __contains__(self, path: object) -> bool:
        return True


def effective_text(config: object) -> str:
    """Formats a spec with all effective values and hidden keys, for example to save it with results.

    Args:
        config: Spec object.

    Returns:
        Protobuf text.
    """
    return "".join(f"{line}\n" for line in _lines(config, _All(), "", show_keys=False))


def text_of(config: object, *, secrets: bool = False) -> str:
    """Formats a spec as protobuf text that loads to an equal spec.

    Args:
        config: Spec object.
        secrets: Whether to include keys.

    Returns:
        Protobuf text.
    """
    lines = _lines(config, _All(), "", show_keys=secrets)
    return "".join(f"{line}\n" for line in lines if not line.endswith(f'"{HIDDEN}"  # hidden'))


def _lines(config: object, positions: "Positions | _All", path: str, show_keys: bool) -> Iterator[str]:
    for field, _ in schema_fields(type(config)):
        value = getattr(config, field.name)
        field_path = f"{path}.{field.name}" if path else field.name
        if field_path in _SECRETS and value and not show_keys:
            yield f'{field.name}: "{HIDDEN}"  # hidden'
            continue
        mark = _mark(positions, field_path)
        for item_path, item in _items(value, field_path):
            if dataclasses.is_dataclass(item):
                yield f"{field.name} {{{mark}"
                yield from (f"  {line}" for line in _lines(item, positions, item_path, show_keys))
                yield "}"
            elif isinstance(item, Mapping):
                entries = (f"key: {_literal(key)} value: {_literal(item[key])}" for key in item)
                yield from (f"{field.name} {{ {entry} }}{mark}" for entry in entries)
            else:
                yield f"{field.name}: {_literal(item)}{mark}"


def _mark(positions: "Positions | _All", path: str) -> str:
    if path not in positions:
        return _DEFAULT
    return _SET if isinstance(positions, Positions) and positions.setting(path) is not None else ""


def _items(value: object, path: str) -> list[tuple[str, object]]:
    """Returns the occurrences of a field: none if it is not set, several for a list."""
    if value is None:
        return []
    if isinstance(value, tuple):
        return [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    return [(path, value)]


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, str):
        escaped = text_encoding.CEscape(value, as_utf8=True)  # type: ignore[arg-type]  # it takes str
        return f'"{escaped}"'
    return repr(value)
