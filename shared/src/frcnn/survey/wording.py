"""Words for numbers: counts with their noun, and shares that show a small number as more than nothing."""

_SMALLEST, _LARGEST = 0.0005, 0.9995


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as `1 object` or `2 classes`.

    Args:
        number: Number.
        noun: Singular of the noun; several words if the last one takes the plural.
    """
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def percent(part: float, whole: float) -> str:
    """Returns a share with one decimal; few of many are not `0.0%`, nearly all not `100.0%`.

    Args:
        part: Part.
        whole: Whole; a dash is returned if it is 0.
    """
    if not whole:
        return "\N{EN DASH}"
    share = part / whole
    if 0 < share < _SMALLEST:
        return "< 0.1%"
    return "> 99.9%" if _LARGEST <= share < 1 else f"{share:.1%}"
