"""Checks whole numbers that are given as arguments."""

from frcnn.errors import UsageError


def check_count(value: object, argument: str, least: int = 1) -> None:
    """Checks that an argument is a whole number.

    Args:
        value: The argument; `None` if it is not given.
        argument: Its name, for messages.
        least: Smallest valid number.

    Raises:
        UsageError: It is something else, or smaller than `least`.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        return
    found = value if isinstance(value, int) else repr(value)
    kind = "" if isinstance(value, int) else "a whole number, "
    raise UsageError(f"{argument} {found}: expected {kind}{least} or more", argument=argument)
