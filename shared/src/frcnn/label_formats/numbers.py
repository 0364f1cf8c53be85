"""Formats numbers in label files."""


def coordinate(value: float) -> str:
    """Formats a coordinate in pixels with at most four digits after the point, without trailing zeros."""
    return _short(f"{value:.4f}")


def share(value: float) -> str:
    """Formats a share of the image with enough digits for a thousandth of a pixel in the largest images."""
    return _short(f"{value:.10f}")


def _short(text: str) -> str:
    short = text.rstrip("0").rstrip(".")
    return "0" if short in ("", "-0") else short
