"""Where the steps' pods may run and how much disk they need, as the owner of a cluster says it.

Written into the pipeline when it is compiled, like the images: flags of `submit`, `schedule`, `publish` and
`compile`, handed over in three environment variables.
"""

import argparse
import dataclasses
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from frcnn.errors import UsageError

if TYPE_CHECKING:
    from kfp import dsl

NODE_SELECTOR_VARIABLE = "FRCNN_STEP_NODE_SELECTORS"
TOLERATION_VARIABLE = "FRCNN_STEP_TOLERATIONS"
STORAGE_VARIABLE = "FRCNN_STEP_EPHEMERAL_STORAGE"
# Of the backends, none knows ephemeral storage in a step's resources. All of them pass on a limit of any
# name that stands where a pipeline names its accelerators, and Kubernetes takes a limit for the request too.
STORAGE_RESOURCE = "ephemeral-storage"
_WITH_GPUS = ("train", "retrain")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNITS = {"": 1} | {unit: 1000**n for n, unit in enumerate("kMGTP", 1)}
_UNITS |= {f"{unit}i": 1024**n for n, unit in enumerate("KMGTP", 1)}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting: `step` is a step's name with hyphens, or empty for every step."""

    step: str
    text: str

    def applies(self, name: str) -> bool:
        """Checks whether the step called `name` is meant."""
        return self.step in ("", name.replace(" ", "-"))


def add_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags."""
    add = flags.add_argument
    add(
        "--node_selector",
        action="append",
        default=[],
        metavar="[STEP@]LABEL=VALUE",
        help="nodes that a step, or every one, may run on",
    )
    add(
        "--toleration",
        action="append",
        default=[],
        metavar="[STEP@]KEY[=VALUE][:EFFECT]",
        help="taint of a node that a step, or every one, tolerates",
    )
    add(
        "--ephemeral_storage",
        action="append",
        default=[],
        metavar="[STEP@]SIZE",
        help="disk that a step's pod needs, such as evaluate@100Gi (not of train and retrain)",
    )


def choose(args: argparse.Namespace) -> None:
    """Hands the flags over to the pipeline's definition, which is imported or compiled afterwards.

    Args:
        args: With the flags of `add_flags`, or without.

    Raises:
        UsageError: One is not understood, or names no step.
    """
    given: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
        (NODE_SELECTOR_VARIABLE, "node_selector", label),
        (TOLERATION_VARIABLE, "toleration", toleration),
        (STORAGE_VARIABLE, "ephemeral_storage", size),
    )
    for variable, flag, parsed in given:
        texts = getattr(args, flag, None) or []
        for setting in map(_setting, texts):
            if setting.step and setting.step not in (known := _steps()):
                raise UsageError(
                    f"--{flag} {setting.step}@...: no such step; expected one of {', '.join(sorted(known))}"
                )
            if flag == "ephemeral_storage" and setting.step in _WITH_GPUS:
                raise UsageError(
                    f"--{flag} {setting.step}@{setting.text}: the limit of this step's GPUs stands in its "
                    "place; it keeps no copy of the data set, and FRCNN_CACHE_LIMIT bounds its cache"
                )
            parsed(setting.text)
        if texts:
            os.environ[variable] = "\n".join(texts)


def apply(task: "dsl.PipelineTask", name: str, *, accelerators: bool) -> None:
    """Gives a step what the environment variables say.

    Args:
        task: The step.
        name: Its name.
        accelerators: Whether its accelerators are set already: it cannot be given a size of disk then.
    """
    from kfp import kubernetes

    for setting in _settings(NODE_SELECTOR_VARIABLE):
        if setting.applies(name):
            kubernetes.add_node_selector(task, *label(setting.text))
    for setting in _settings(TOLERATION_VARIABLE):
        if setting.applies(name):
            key, value, effect = toleration(setting.text)
            operator = "Exists" if value is None else "Equal"
            kubernetes.add_toleration(task, key, operator, value, effect)  # type: ignore[arg-type]
    for setting in _settings(STORAGE_VARIABLE):
        if setting.applies(name) and not accelerators:
            task.set_accelerator_type(STORAGE_RESOURCE).set_accelerator_limit(size(setting.text))


def label(text: str) -> tuple[str, str]:
    """Reads LABEL=VALUE.

    Raises:
        UsageError: It is something else.
    """
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise UsageError(f"--node_selector {text}: expected LABEL=VALUE, such as pool=gpu")
    return name, value


def toleration(text: str) -> tuple[str, str | None, str | None]:
    """Reads KEY[=VALUE][:EFFECT]; None for what is left out.

    Raises:
        UsageError: It is something else.
    """
    form = re.fullmatch(rf"([^=:]+)(?:=([^:]*))?(?::({'|'.join(_EFFECTS)}))?", text)
    if form is None:
        raise UsageError(
            f"--toleration {text}: expected KEY[=VALUE][:EFFECT], EFFECT one of {', '.join(_EFFECTS)}"
        )
    return form[1], form[2], form[3]


def size(text: str) -> int:
    """Reads a size such as 100Gi, in bytes.

    Raises:
        UsageError: It is none.
    """
    form = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", text)
    if form is None or form[2] not in _UNITS or not float(form[1]):
        raise UsageError(f"--ephemeral_storage {text}: expected a size such as 100Gi")
    return int(float(form[1]) * _UNITS[form[2]])


def _steps() -> set[str]:
    from pipelines.resources import POLICIES

    return {name.replace(" ", "-") for name in POLICIES}


def _settings(variable: str) -> list[Setting]:
    return [_setting(line) for line in os.environ.get(variable, "").splitlines() if line]


def _setting(text: str) -> Setting:
    step, separator, rest = text.partition("@")
    return Setting(step, rest) if separator else Setting("", text)
