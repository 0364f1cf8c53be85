"""The key of sealed model files: where it comes from, and how it stays out of logs."""

import logging
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from frcnn.errors import UsageError
from frcnn.spec.textproto.secrets import HIDDEN, is_mask, masked_spec

__all__ = ["Key", "key_bytes", "masked_arguments", "masked_spec", "resolve_key"]

KEY_VARIABLE = "FRCNN_KEY"
KEY_FILE_VARIABLE = "FRCNN_KEY_FILE"

# A passphrase is a line; what is longer is the wrong file, /dev/zero at worst.
_MAX_KEY_FILE_BYTES = 4096
# -k, -vk, and every abbreviation of --key and --enc_key that argparse takes.
_KEY_FLAG = re.compile(r"-v*k|--k(?:ey?)?|--en(?:c(?:_(?:k(?:ey?)?)?)?)?")
_ATTACHED_KEY = re.compile(rf"((?:{_KEY_FLAG.pattern})=|-v*k)(.+)", re.DOTALL)

_log = logging.getLogger(__name__)


class Key(str):
    """A passphrase that knows where it came from; its repr shows only that.

    Everything else is an ordinary `str`, so `f"{key}"` does write the passphrase.
    """

    origin: str

    def __new__(cls, text: str = "", origin: str = "the caller") -> "Key":
        """`origin` ends the sentence "the key from ..."."""
        key = super().__new__(cls, text)
        key.origin = origin
        return key

    def __repr__(self) -> str:
        """What tracebacks with local variables show."""
        return f"<key from {self.origin}>" if self else "<no key>"


def resolve_key(cli_key: str | None, spec_key: str | None) -> Key:
    """The key to use; empty if there is none, which means plain files.

    The first that is given and not empty: `-k` on the command line (`@FILE` reads the file,
    `@@text` is the key `@text`), the environment variable FRCNN_KEY, the file that FRCNN_KEY_FILE
    names, the spec's `enc_key`. An empty one counts as not given: it never turns sealing off by accident.

    Raises:
        UsageError: a key file is missing, empty, not text or longer than one line; or the spec has asterisks
            for a key, as `frcnn spec show` and published specs have.
    """
    if cli_key:
        return _command_line_key(cli_key)
    if value := os.environ.get(KEY_VARIABLE):
        return Key(value, f"the environment variable {KEY_VARIABLE}")
    if value := os.environ.get(KEY_FILE_VARIABLE):
        return _from_file(value, KEY_FILE_VARIABLE)
    if spec_key and is_mask(spec_key):
        raise UsageError(
            f"enc_key of the spec is {spec_key!r}, which stands for a key that was hidden; give the key "
            f"itself by {KEY_VARIABLE}, {KEY_FILE_VARIABLE} or -k @FILE, or remove enc_key for plain files"
        )
    return Key(spec_key or "", "enc_key of the spec")


def key_in_file(path: Path, source: str) -> Key:
    """Reads the key in a file: its one line, without the line break.

    Args:
        path: The file.
        source: What names it, for messages: "the argument key".

    Raises:
        UsageError: The file is missing, empty, not text or longer than one line.
    """
    return _from_file(str(path), source)


def key_bytes(key: str) -> bytes:
    """The key as bytes: UTF-8 of the composed form (NFC), since keyboards differ in how they write é.

    Bytes of a command line that were not UTF-8 come back as they were.

    Raises:
        UsageError: the key holds half a character, or NUL (scrypt takes no notice of one at the end).
    """
    if "\0" in key:
        raise UsageError("the key holds a NUL character, which a key cannot")
    try:
        return unicodedata.normalize("NFC", key).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # The error would carry the key, so it is not chained.
        raise UsageError("the key holds a character that cannot be written as UTF-8") from None


def masked_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line that may be logged: every key is `***`; `@FILE` stays."""
    masked: list[str] = []
    key_follows = False
    for argument in arguments:
        attached = _ATTACHED_KEY.fullmatch(argument)
        if key_follows:
            masked.append(_masked(argument))
        elif attached:
            masked.append(attached[1] + _masked(attached[2]))
        else:
            masked.append(argument)
        key_follows = not key_follows and _KEY_FLAG.fullmatch(argument) is not None
    return masked


def _command_line_key(value: str) -> Key:
    if value.startswith("@@"):
        value = value[1:]
    elif value.startswith("@"):
        return _from_file(value[1:], "-k")
    _log.warning(
        "the key stands on the command line, where every user of this machine can read it; "
        "set %s or %s, or pass -k @FILE",
        KEY_VARIABLE,
        KEY_FILE_VARIABLE,
    )
    return Key(value, "-k on the command line")


def _from_file(name: str, source: str) -> Key:
    """The one line of a key file, without its line break; other white space belongs to the key."""
    origin = f"{name!r}, which {source} names"
    try:
        with Path(name).expanduser().open("rb") as handle:
            content = handle.read(_MAX_KEY_FILE_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the key file {origin}: {reason}") from error
    return Key(_only_line(content, origin), origin)


def _only_line(content: bytes, origin: str) -> str:
    if len(content) > _MAX_KEY_FILE_BYTES:
        raise UsageError(f"the key file {origin}, is longer than {_MAX_KEY_FILE_BYTES} bytes: not a key")
    try:
        line = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(f"the key file {origin}, is not UTF-8 text") from None
    if not line:
        raise UsageError(f"the key file {origin}, is empty; expected one line with the key")
    if "\n" in line or "\r" in line:
        raise UsageError(f"the key file {origin}, has several lines; expected one with the key")
    return line


def _masked(value: str) -> str:
    return value if value.startswith("@") and not value.startswith("@@") else HIDDEN
