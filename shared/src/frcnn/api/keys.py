"""Resolves the key of sealed model files from an argument."""

from pathlib import Path

from frcnn.errors import UsageError
from frcnn.sealing.keys import Key, key_in_file, resolve_key


def resolved_key(key: str | Path | None, spec_key: str | None = None) -> Key:
    """Returns the key to use; empty without a key, which means plain files.

    Args:
        key: Key as text, or a `pathlib.Path` of its file. Without it, FRCNN_KEY is used, then the file that
            FRCNN_KEY_FILE names, then the spec's key.
        spec_key: `enc_key` of the spec.

    Returns:
        The key.

    Raises:
        UsageError: The key has another type; or its file is missing, empty, or not one line of text.
    """
    if isinstance(key, Key) and key:  # already resolved by a command
        return key
    if isinstance(key, Path):
        return key_in_file(key, "the argument key")
    if key is not None and not isinstance(key, str):
        raise UsageError(
            f"key of type {type(key).__name__}: expected text, or a pathlib.Path of its file", argument="key"
        )
    return Key(key, "the argument key") if key else resolve_key(None, spec_key)
