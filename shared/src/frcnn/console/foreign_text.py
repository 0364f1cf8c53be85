"""Text from outside (labels, file names, specs) as it may be shown: one line, no control characters.

Control characters clear screens, set window titles, and let one log line pose as two. Text is escaped once,
where it is
shown: in messages, tables, plots and pages. Files that programs read keep it as it is.
"""

import re

# A name is shown whole up to this length; nobody reads more, and a field of 30 MB must not fill a log.
SHOWN_CHARACTERS = 200

# Bytes of a file name that are not UTF-8 come from the operating system as these (PEP 383).
_RAW_BYTES = range(0xDC80, 0xDD00)
_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: object, limit: int | None = SHOWN_CHARACTERS) -> str:
    r"""Escapes whatever a terminal might obey, and shortens.

    Args:
        text: Shown as `str` makes it.
        limit: Greatest number of characters of `text` shown; `None` for all of them.

    Returns:
        One line. Control and format characters, line breaks among them, are `\n`, `\x1b`, `\u202e`; bytes of
        a file name that are not UTF-8 are `\xe9`. What was cut off is replaced by `...`.
    """
    found = str(text)
    cut = limit is not None and len(found) > limit
    if cut:
        found = found[:limit]
    if not found.isprintable():
        found = "".join(each if each.isprintable() else _escaped(each) for each in found)
    return f"{found}..." if cut else found


def printable_lines(text: str) -> str:
    """Escapes as `printable` does, of any length, but keeps line breaks and tabs.

    For messages of this program that have several lines and may quote text from outside.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else _escaped(each) for each in text)


def utf8(text: str) -> str:
    r"""Makes a file name fit for a UTF-8 file: bytes that are not UTF-8 become `\xe9`, all else stays."""
    return _SURROGATES.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _RAW_BYTES:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
