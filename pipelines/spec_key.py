"""The `enc_key` of a spec, taken out of the text that is handed to steps.

A step's parameters are written to the cache, to the inputs of each step and, in containers, to a command line
that every user of the machine can read; the key reaches a step in its environment instead.
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from frcnn.errors import FrcnnError
from frcnn.sealing.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, key_bytes, resolve_key
from frcnn.spec.load import parse_experiment
from frcnn.spec.overrides import experiment_given
from frcnn.spec.show import render
from frcnn.spec.textproto.positions import Positions

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import Experiment

# White space and comments, which may stand between any two words.
_GAP = r"(?:\s|\#[^\n]*\n)*"
_STRING = r"""(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
_FIELD = re.compile(rf"\benc_key{_GAP}:{_GAP}{_STRING}(?:{_GAP}{_STRING})*[ \t]*[;,]?")

# As few digits as tell keys apart that one folder may see: no help to whoever guesses at a key.
_DIGITS = 6


def without_key(given: str) -> tuple[str, str]:
    """Takes the key out of a spec.

    Args:
        given: Text of an experiment spec, or the name of its file.

    Returns:
        The spec's text without the key, and the key; `given` itself and an empty key if it has none.

    Raises:
        SpecError: The spec has errors.
    """
    is_text = "{" in given or "\n" in given
    spec = parse_experiment(given, "spec", remarks=False).spec if is_text else experiment_given(given)
    if not spec.enc_key:
        return given, ""
    text, wanted = _FIELD.sub("", spec.text), dataclasses.replace(spec, enc_key="")
    if spec.enc_key in text or not _says(text, wanted):
        # It is in a comment, or written in another way: the same values without the user's own layout.
        text = render(wanted, Positions(), show_keys=True)
    return text, spec.enc_key


def _says(text: str, wanted: "Experiment") -> bool:
    """Checks whether a text has the values of a spec."""
    try:
        found = parse_experiment(text, remarks=False).spec
    except FrcnnError:
        return False
    return dataclasses.replace(found, text=wanted.text, source=wanted.source) == wanted


def key_environment(spec_key: str) -> Mapping[str, str]:
    """Returns the variables that hand the spec's key to steps; none if the environment has a key already."""
    given = any(os.environ.get(name) for name in (KEY_VARIABLE, KEY_FILE_VARIABLE))
    return {} if given or not spec_key else {KEY_VARIABLE: spec_key}


def key_name(spec_key: str) -> str:
    """Returns a name for the key in use, so that models sealed with another one are not mixed up with its.

    Args:
        spec_key: Key in the spec, which counts if the environment has none.

    Returns:
        A few digits that do not reveal the key; empty without a key.
    """
    key = resolve_key(None, spec_key)
    if not key:
        return ""
    found = hashlib.scrypt(key_bytes(key), salt=b"frcnn local run", n=2**14, r=8, p=1, dklen=16)
    return found.hex()[:_DIGITS]
