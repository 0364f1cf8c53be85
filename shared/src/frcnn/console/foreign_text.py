"""Escapes text from outside (labels, file names, specs) for display on one line.

Control characters clear screens, set window titles, and make one log line look like two. Text is escaped
once, where it is displayed: in messages, tables, plots and pages. Files for other programs contain it
unchanged.
"""

import re

# Maximum length of a displayed name: a field of 30 MB must not fill a log.
SHOWN_CHARACTERS = 200

# Python represents bytes of a file name that are not UTF-8 by these code points (PEP 383).
_RAW_BYTES = range(0xDC80, 0xDD00)
_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: object, limit: int | None = SHOWN_CHARACTERS) -> str:
    r"""Escapes control characters and shortens a text for display.

    Args:
        text: Text, or a value to convert by `str`.
        limit: Maximum number of characters of `text`; `None` for no limit.

    Returns:
        One line. Control and format characters, including line breaks, become `\n`, `\x1b`, `\u202e`; bytes
        of a file name that are not UTF-8 become `\xe9`. A longer text ends in `...`.
    """
    found = str(text)
    cut = limit is not None and len(found) > limit
    if cut:
        found = found[:limit]
    if not found.isprintable():
        found = "".join(each if each.isprintable() else _escaped(each) for each in found)
    return f"{found}..." if cut else found


def printable_lines(text: str) -> str:
    """Escapes text like `printable`, without a length limit; keeps line breaks and tabs.

    For messages of this program that have several lines and may quote text from outside.

    Args:
        text: The message.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else _escaped(each) for each in text)


def utf8(text: str) -> str:
    r"""Makes a file name encodable as UTF-8: invalid bytes become `\xe9`, the rest is unchanged.

    Args:
        text: File name.
    """
    return _SURROGATES.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _RAW_BYTES:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
