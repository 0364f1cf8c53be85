"""Settings of single spec fields, `FIELD=VALUE` with the path of the field, as given to `--set`.

They act as if appended to the text of the spec and pass the same checks. Only lists differ: a list that is
set replaces the list in the text instead of extending it.
"""

import re
from collections.abc import Iterable, Iterator

from google.protobuf import text_encoding
from google.protobuf.descriptor import FieldDescriptor as Kind
from google.protobuf.message import Message

from frcnn.errors import Problem
from frcnn.spec.textproto import suggestions
from frcnn.spec.textproto.positions import Positions, enclosing
from frcnn.spec.textproto.reader import read
from frcnn.spec.textproto.secrets import is_secret
from frcnn.spec.textproto.values import BadValueError, Field

# Other users can read command lines.
SECRETS = {
    "enc_key": "set the environment variable FRCNN_KEY instead, or give -k @FILE",
    "training_config.visualizer.wandb_config.key": "set the environment variable WANDB_API_KEY instead",
}
# Also misspelled, so that no message shows what was meant as a key.
_LIKE_A_KEY = {
    "enc_key": re.compile(r"\W*enc_?key", re.IGNORECASE),
    "training_config.visualizer.wandb_config.key": re.compile(r".*wandb_?config\b.*\Wkey", re.IGNORECASE),
}
_MAX_DIGITS = 9
_MAX_SUGGESTIONS = 3
_PART = re.compile(r"(?P<name>\w+)(?:\[(?P<place>[^\[\]]*)\])?")
_QUOTES = ("'", '"')
# A setting for the hint on their form, by the type of the spec.
_EXAMPLES = {
    "Experiment": "training_config.num_epochs=5",
    "DatasetExportConfig": "kitti_config.num_partitions=2",
}


def assignment(path: str, value: object) -> str:
    """Formats a setting of one field.

    Args:
        path: Path of the field.
        value: New value. Strings may contain any characters.

    Returns:
        Text `FIELD=VALUE`.
    """
    return f"{path}={quoted_text(value) if isinstance(value, str) else value}"


def assign(message: Message, positions: Positions, settings: Iterable[str]) -> list[Problem]:
    """Sets single fields of a message that was read from a text.

    Args:
        message: Message to change.
        positions: Positions of the text; the fields that are set are recorded there.
        settings: Settings `FIELD=VALUE`, for example `training_config.num_epochs=5`. If a field is set
            several times, the last value is used.

    Returns:
        Errors in the settings.
    """
    problems: list[Problem] = []
    for setting in settings:
        path, equals, value = setting.partition("=")
        path = path.strip()
        if secret := _secret_of(path):
            problems.append(Problem(secret, f"{_refused(secret)} (--set {secret}=...)"))
            continue
        try:
            if not equals or not path:
                raise BadValueError(f"expected FIELD=VALUE, such as {_EXAMPLES[message.DESCRIPTOR.name]}")
            if not _is_unicode(setting):
                raise BadValueError("found bytes that are not UTF-8; expected text")
            _assign(message, positions, path, value.strip(), setting)
        except BadValueError as error:
            # A block, or several values by mistake, may contain a key.
            inner = _secret_of(f"{path} {value}", anywhere=True)
            text = _refused(inner) if inner else str(error)
            problems.append(Problem(path, f"{text} (--set {f'{path}=...' if inner else setting})"))
    return problems


def _secret_of(text: str, *, anywhere: bool = False) -> str:
    """Returns the secret field that a text sets, perhaps misspelled; empty if it sets none."""
    for name, pattern in _LIKE_A_KEY.items():
        if (pattern.search if anywhere else pattern.match)(text):
            return name
    return ""


def _refused(secret: str) -> str:
    return f"keys must not be given on the command line; {SECRETS[secret]}"


def _is_unicode(text: str) -> bool:
    """Checks for bytes of the command line that are not UTF-8, which Python represents by surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _assign(message: Message, positions: Positions, path: str, value: str, setting: str) -> None:
    walked, rest = "", path
    while True:
        part = _PART.match(rest)
        if part is None:
            raise BadValueError(f"found {rest or 'nothing'}; expected the name of a field")
        field, rest = _field_of(message, part["name"]), rest[part.end() :]
        if rest == ".":
            raise BadValueError("found nothing after the last dot; expected the name of a field")
        rest = rest.removeprefix(".")
        walked = f"{walked}.{field.name}" if walked else field.name
        _forget_siblings(positions, field, walked)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            key = part["place"] if part["place"] is not None else rest
            _set_entry(message, field, key.strip("'\""), value)
            positions.record_set(f'{walked}["{key}"]', setting)
            return
        if not rest and part["place"] is None:
            _note(positions, field, walked, _set_field(message, field, value), setting)
            return
        message, step = _inside(message, field, part["place"])
        for block in (walked, walked + step):
            if block not in positions:
                positions.record_set(block, setting)
        walked += step
        if not rest:
            raise BadValueError("this is a whole block; expected one of its fields after a dot")


def _note(positions: Positions, field: Field, path: str, found: Iterable[str], setting: str) -> None:
    """Records the fields that were set; `path` is the path of the field, `found` has relative paths."""
    paths = [f"{path}{each.removeprefix(field.name)}" for each in found]
    if secret := next(filter(is_secret, paths), ""):
        raise BadValueError(_refused(secret))
    blocks = enclosing(paths)
    if field.is_repeated:
        positions.forget(path)
    for each in paths:
        # A block is merged with the one in the text, whose other fields keep their positions.
        if not (each in blocks and each in positions):
            positions.record_set(each, setting)


def _forget_siblings(positions: Positions, field: Field, path: str) -> None:
    """Removes positions of the other members of a oneof, because only the last one is used."""
    if field.containing_oneof is not None:
        for sibling in field.containing_oneof.fields:
            if sibling.name != field.name:
                positions.forget(path.removesuffix(field.name) + sibling.name)


def _field_of(message: Message, name: str) -> Field:
    field = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        near, elsewhere, text = suggestions.unknown_field(name, message.DESCRIPTOR)
        if near is None and message.DESCRIPTOR is suggestions.root_of(message.DESCRIPTOR):
            elsewhere = suggestions.similar_paths(name, message.DESCRIPTOR) or elsewhere
        meant = " or ".join(f"'{path}'" for path in elsewhere[:_MAX_SUGGESTIONS])
        raise BadValueError(f"unknown field; did you mean {meant}?" if meant else text)
    return field


def _inside(message: Message, field: Field, place: str | None) -> tuple[Message, str]:
    """Returns the block of a field, created if necessary, and the index part of its path."""
    if field.message_type is None:
        raise BadValueError(f"{field.name} has no fields; expected = after it")
    if not field.is_repeated:
        if place is not None:
            raise BadValueError(f"{field.name} is not a list; expected a dot after it")
        block: Message = getattr(message, field.name)
        block.SetInParent()
        return block, ""
    blocks = getattr(message, field.name)
    if place is None and len(blocks) > 1:
        raise BadValueError(
            f"there are {len(blocks)} of {field.name}; name one of {field.name}[0] to [{len(blocks) - 1}]"
        )
    is_number = place is not None and place.isdecimal() and len(place) <= _MAX_DIGITS
    index = int(place) if place is not None and is_number else 0 if place is None else -1
    if not 0 <= index <= len(blocks):
        raise BadValueError(f"found {field.name}[{place}]; expected a number from 0 to {len(blocks)} in []")
    block = blocks[index] if index < len(blocks) else blocks.add()
    return block, f"[{index}]"


def _set_entry(message: Message, field: Field, key: str, value: str) -> None:
    if not key:
        raise BadValueError(f"expected {field.name}.KEY=VALUE")
    entry = getattr(message, field.name).GetEntryClass()()
    entry.key = key
    list(_set_field(entry, entry.DESCRIPTOR.fields_by_name["value"], value))
    getattr(message, field.name)[key] = entry.value


def _set_field(message: Message, field: Field, value: str) -> Iterator[str]:
    """Reads a value as in the text of a spec; yields the paths that it sets, starting with the field."""
    fresh = type(message)()
    reader = read(f"{field.name}: {_literal(field, value)}\n", fresh)
    if reader.problems:
        raise BadValueError(reader.problems[0].message)
    paths = list(reader.positions.paths())
    if any(re.split(r"[.\[]", path)[0] != field.name for path in paths):
        raise BadValueError(f"found {value}; expected one value")
    if field.is_repeated:
        message.ClearField(field.name)
    message.MergeFrom(fresh)
    yield from [field.name, *sorted(set(paths) - {field.name})]


def _literal(field: Field, value: str) -> str:
    """Quotes strings, which have no quotes on a command line."""
    if field.type != Kind.TYPE_STRING:
        # Brackets around a list are optional here.
        return f"[{value}]" if field.is_repeated and "," in value and value[:1] != "[" else value
    if not field.is_repeated or value[:1] in _QUOTES:
        return value if value[:1] in _QUOTES else quoted_text(value)
    items = [item.strip() for item in value.removeprefix("[").removesuffix("]").split(",") if item.strip()]
    return f"[{', '.join(item if item[:1] in _QUOTES else quoted_text(item) for item in items)}]"


def quoted_text(value: str) -> str:
    """Writes a string as in protobuf text, in quotes.

    Args:
        value: Any characters.

    Returns:
        The literal.
    """
    return f'"{text_encoding.CEscape(value, as_utf8=True)}"'  # type: ignore[arg-type]  # it takes str
