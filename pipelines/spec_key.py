"""Reads specs, and removes `enc_key` from them before they are passed to steps.

Parameters of a step are written to the cache, to the inputs of each step, and, with containers, to a command
line that every user of the machine can read. Steps therefore receive the key in their environment.
"""

import dataclasses
import hashlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from frcnn.errors import FrcnnError
from frcnn.sealing.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, key_bytes, masked_spec, resolve_key
from frcnn.spec.load import load_any, load_dataset_export, load_experiment, parse_experiment
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.export import DatasetExportConfig
from frcnn.spec.show import render
from frcnn.spec.textproto.positions import Positions
from frcnn.spec.textproto.secrets import HIDDEN
from frcnn.steps.specs import experiment_given

log = logging.getLogger("frcnn.pipeline")

# White space and comments, which may separate any two tokens.
_GAP = r"(?:\s|\#[^\n]*\n)*"
_STRING = r"""(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
_FIELD = re.compile(rf"\benc_key{_GAP}:{_GAP}{_STRING}(?:{_GAP}{_STRING})*[ \t]*[;,]?")

# Few digits: enough to distinguish the keys used in one folder, too few to help in guessing a key.
_DIGITS = 6


def without_key(given: str) -> tuple[str, str]:
    """Removes the key from a spec.

    Args:
        given: Text of an experiment spec, or the name of its file; empty for none.

    Returns:
        Tuple of the spec's text without the key, and the key. Without a key, `given` and an empty key.

    Raises:
        SpecError: The spec has errors.
    """
    if not given.strip():
        return given, ""
    is_text = "{" in given or "\n" in given
    spec = parse_experiment(given, "spec", remarks=False).spec if is_text else experiment_given(given)
    if not spec.enc_key:
        return given, ""
    text, wanted = _FIELD.sub("", spec.text), dataclasses.replace(spec, enc_key="")
    if spec.enc_key in text or not _has_values_of(text, wanted):
        # The key is also in a comment, or in an unusual form. Render the values without the user's layout.
        text = render(wanted, Positions(), show_keys=True)
    return text, spec.enc_key


def _has_values_of(text: str, wanted: Experiment) -> bool:
    """Checks whether a text has the same values as a spec."""
    try:
        found = parse_experiment(text, remarks=False).spec
    except FrcnnError:
        return False
    return dataclasses.replace(found, text=wanted.text, source=wanted.source) == wanted


def experiment_text(path: Path, settings: Sequence[str] = ()) -> str:
    """Reads and checks an experiment spec.

    Args:
        path: File of the spec.
        settings: Values of `--set`.

    Returns:
        Its text, with the settings.

    Raises:
        SpecError: The file cannot be read or has errors.
    """
    return load_experiment(path, settings).text


def conversion_text(path: Path) -> str:
    """Reads and checks a dataset_convert spec, which contains no key; see `experiment_text`."""
    return load_dataset_export(path).text


def experiment_for_cluster(path: Path, settings: Sequence[str] = ()) -> str:
    """Reads an experiment spec for a run on a cluster; see `experiment_text` and `text_for_cluster`."""
    return text_for_cluster(load_experiment(path, settings), str(path))


def spec_for_cluster(path: Path) -> str:
    """Reads a spec of either kind for a run on a cluster; see `text_for_cluster`."""
    return text_for_cluster(load_any(path).spec, str(path))


def text_for_cluster(spec: Experiment | DatasetExportConfig, place: str) -> str:
    """Returns the text of a spec as it becomes a parameter of a run on a cluster, with masked keys.

    A run's parameters can be read in the UI, in the database of Kubeflow, and in every pod of the run. The
    steps get the key from a secret; without the secret, they refuse the mask, so that no model is left
    unsealed by accident.

    Args:
        spec: Loaded spec.
        place: Name of its file, for the message.

    Returns:
        The text. It is unchanged if the spec has no key.
    """
    if not isinstance(spec, Experiment):
        return spec.text
    text, key = without_key(spec.text)
    wandb = spec.training_config.visualizer.wandb_config
    if wandb is not None and wandb.key:
        text = masked_spec(text)
    if key:
        # Last, since the last value of a field counts.
        text = f'{text.rstrip()}\nenc_key: "{HIDDEN}"\n'
        log.warning(
            "%s: enc_key is not sent, because everyone who can see a run can read its parameters. Steps take "
            "the key from the secret frcnn-model-key: kubectl create secret generic frcnn-model-key "
            "--from-file=key=FILE",
            place,
        )
    return text


def key_environment(spec_key: str) -> Mapping[str, str]:
    """Returns environment variables that pass the spec's key to steps.

    Args:
        spec_key: Key in the spec; empty for none.

    Returns:
        Variables; empty if the environment already has a key.
    """
    given = any(os.environ.get(name) for name in (KEY_VARIABLE, KEY_FILE_VARIABLE))
    return {} if given or not spec_key else {KEY_VARIABLE: spec_key}


def key_name(spec_key: str) -> str:
    """Returns a short name for the key in use, to keep models sealed with different keys apart.

    Args:
        spec_key: Key in the spec, used if the environment has none.

    Returns:
        Digits that do not reveal the key; empty without a key.
    """
    key = resolve_key(None, spec_key)
    if not key:
        return ""
    found = hashlib.scrypt(key_bytes(key), salt=b"frcnn local run", n=2**14, r=8, p=1, dklen=16)
    return found.hex()[:_DIGITS]
