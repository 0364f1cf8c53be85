"""Parses truth values as Kubeflow Pipelines passes them to steps."""

import argparse


def truth(text: str) -> bool:
    """Parses a truth value; a type for `argparse`.

    Args:
        text: `true` or `false` in any case; KFP writes both `True` and `true`.

    Raises:
        argparse.ArgumentTypeError: It is something else.
    """
    word = text.lower()
    if word not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected true or false")
    return word == "true"
