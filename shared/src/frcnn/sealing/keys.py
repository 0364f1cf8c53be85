"""Key of sealed model files: its sources, and how it is kept out of logs."""

import logging
import os
import unicodedata
from pathlib import Path

from frcnn.errors import UsageError
from frcnn.spec.textproto.secrets import is_mask, masked_spec

__all__ = ["Key", "key_bytes", "masked_spec", "resolve_key"]

KEY_VARIABLE = "FRCNN_KEY"
KEY_FILE_VARIABLE = "FRCNN_KEY_FILE"

# A passphrase is one line; a longer file is the wrong one, in the worst case /dev/zero.
_MAX_KEY_FILE_BYTES = 4096
# -k, -vk, and every abbreviation of --key and --enc_key that argparse takes.

_log = logging.getLogger(__name__)


class Key(str):
    """Passphrase that records its source; its repr shows only the source.

    Otherwise it is an ordinary `str`: `f"{key}"` contains the passphrase.

    Attributes:
        origin: Source of the key, for messages.
    """

    origin: str

    def __new__(cls, text: str = "", origin: str = "the caller") -> "Key":
        """Creates a key.

        Args:
            text: Passphrase; empty for no key.
            origin: End of the sentence "the key from ...".
        """
        key = super().__new__(cls, text)
        key.origin = origin
        return key

    def __repr__(self) -> str:
        """Returns a text without the passphrase, for tracebacks that show local variables."""
        return f"<key from {self.origin}>" if self else "<no key>"


def resolve_key(cli_key: str | None, spec_key: str | None) -> Key:
    """Returns the key to use.

    The first key that is given and not empty is used: `-k` on the command line (`@FILE` reads the file,
    `@@text` is the key `@text`), the environment variable FRCNN_KEY, the file named by FRCNN_KEY_FILE, the
    spec's `enc_key`. Empty keys are ignored, so that they do not turn sealing off by accident.

    Args:
        cli_key: Value of `-k`; `None` if not given.
        spec_key: The spec's `enc_key`; `None` if not given.

    Returns:
        The key; empty for plain files.

    Raises:
        UsageError: A key file is missing, empty, not text or longer than one line; or the spec's key is
            masked by asterisks, as `frcnn spec show` prints it.
    """
    if cli_key:
        return _command_line_key(cli_key)
    # Kubernetes passes on the line break at the end of a file that a secret was made from.
    if value := os.environ.get(KEY_VARIABLE, "").rstrip("\r\n"):
        return Key(value, f"the environment variable {KEY_VARIABLE}")
    if file := os.environ.get(KEY_FILE_VARIABLE):
        return key_in_file(Path(file), KEY_FILE_VARIABLE)
    if spec_key and is_mask(spec_key):
        raise UsageError(
            f"enc_key of the spec is {spec_key!r}, the placeholder of a hidden key; give the key "
            f"itself, or set {KEY_VARIABLE} or {KEY_FILE_VARIABLE}, or remove enc_key for plain files."
        )
    return Key(spec_key or "", "enc_key of the spec")


def key_in_file(path: Path, source: str) -> Key:
    """Reads a key from a file: its single line without the line break; other white space is kept.

    Args:
        path: Key file.
        source: Name of the argument or variable that names the file, for messages.

    Returns:
        The key.

    Raises:
        UsageError: The file is missing, empty, not text or longer than one line.
    """
    origin = f"{str(path)!r} (from {source})"
    try:
        with path.expanduser().open("rb") as handle:
            content = handle.read(_MAX_KEY_FILE_BYTES + 1)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"Cannot read the key file {origin}: {reason}") from error
    return Key(_only_line(content, origin), origin)


def key_bytes(key: str) -> bytes:
    """Encodes a key as UTF-8 of its composed form (NFC), since keyboards write é differently.

    Bytes of a command line that are not UTF-8 are restored.

    Args:
        key: Passphrase.

    Returns:
        The bytes.

    Raises:
        UsageError: The key contains half a surrogate pair, or NUL, which scrypt ignores at the end.
    """
    if "\0" in key:
        raise UsageError("The key must not contain NUL. Remove it.")
    try:
        return unicodedata.normalize("NFC", key).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # The error contains the key, so it is not chained.
        raise UsageError("The key contains a character that cannot be written as UTF-8. Remove it.") from None


def _command_line_key(value: str) -> Key:
    if value.startswith("@@"):
        value = value[1:]
    elif value.startswith("@"):
        return key_in_file(Path(value[1:]), "-k")
    _log.warning(
        "The key is visible to every user of this machine on the command line. "
        "Set %s or %s instead, or pass -k @FILE.",
        KEY_VARIABLE,
        KEY_FILE_VARIABLE,
    )
    return Key(value, "-k on the command line")


def _only_line(content: bytes, origin: str) -> str:
    if len(content) > _MAX_KEY_FILE_BYTES:
        raise UsageError(
            f"The key file {origin} is longer than {_MAX_KEY_FILE_BYTES} bytes; expected one line of text."
        )
    try:
        line = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(f"The key file {origin} is not UTF-8 text; expected one line of text.") from None
    if not line:
        raise UsageError(f"The key file {origin} is empty; expected one line with the key.")
    if "\n" in line or "\r" in line:
        raise UsageError(f"The key file {origin} has several lines; expected one line with the key.")
    return line
