"""Defines when two spellings name the same class."""

import unicodedata

from frcnn.console.foreign_text import utf8


def stored_class_name(name: str) -> str:
    """Converts a class name to its form in records: lower case, without spaces, composed.

    Programs on macOS store letters with accents decomposed (Unicode's form NFD), others composed (NFC). Both
    look the same.

    Args:
        name: Class name in a label or in a spec.
    """
    return unicodedata.normalize("NFC", utf8("".join(name.split()).lower()))
