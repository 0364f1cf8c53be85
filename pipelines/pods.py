"""Nodes, disk space, pull secrets and security context of the steps' pods, as the cluster's owner needs them.

Like images, they are written into the pipeline when it is compiled. The flags of `submit`, `schedule`,
`publish` and `compile` are passed on in environment variables.
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
PULL_SECRET_VARIABLE = "FRCNN_STEP_PULL_SECRETS"
NON_ROOT_VARIABLE = "FRCNN_STEP_NON_ROOT"
# The first release with a security context. Older ones refuse a pipeline with fields that they do not know.
SECURITY_CONTEXT_SINCE = (2, 16)
# No backend supports ephemeral storage in a step's resources. All of them accept any resource name in the
# accelerator limit, however, and Kubernetes uses a limit as the request, too.
STORAGE_RESOURCE = "ephemeral-storage"
_WITH_GPUS = ("train", "retrain")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# Labels and taints as Kubernetes takes them: a name, perhaps after a domain, and a value, perhaps empty.
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_UNITS = {"": 1} | {unit: 1000**n for n, unit in enumerate("kMGTP", 1)}
_UNITS |= {f"{unit}i": 1024**n for n, unit in enumerate("KMGTP", 1)}


@dataclasses.dataclass(frozen=True)
class Setting:
    """Setting of one or all steps.

    Attributes:
        step: Name of a step with hyphens; empty for all steps.
        text: Value of the setting.
    """

    step: str
    text: str

    def applies(self, name: str) -> bool:
        """Checks whether the setting applies to a step.

        Args:
            name: Name of the step.
        """
        return self.step in ("", name.replace(" ", "-"))


def add_flags(flags: argparse.ArgumentParser) -> None:
    """Adds the flags for pods."""
    add = flags.add_argument
    add(
        "--node_selector",
        action="append",
        default=[],
        metavar="[STEP@]LABEL=VALUE",
        help="label that nodes must have to run STEP (default: every step); repeatable",
    )
    add(
        "--toleration",
        action="append",
        default=[],
        metavar="[STEP@]KEY[=VALUE][:EFFECT]",
        help="node taint that STEP tolerates (default: every step); repeatable",
    )
    add(
        "--ephemeral_storage",
        action="append",
        default=[],
        metavar="[STEP@]SIZE",
        help="disk space for the pod of STEP, such as evaluate@100Gi (not for train, retrain); repeatable",
    )
    add(
        "--image_pull_secret",
        action="append",
        default=[],
        metavar="[STEP@]NAME",
        help="secret that STEP needs to pull its image (default: every step); repeatable",
    )


def choose(args: argparse.Namespace) -> None:
    """Stores the flags in environment variables, before the pipeline definition is imported.

    Args:
        args: Parsed flags; those of `add_flags` may be missing.

    Raises:
        UsageError: A value is malformed, or a step does not exist.
    """
    given: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
        (NODE_SELECTOR_VARIABLE, "node_selector", _label),
        (TOLERATION_VARIABLE, "toleration", _toleration),
        (STORAGE_VARIABLE, "ephemeral_storage", _size),
        (PULL_SECRET_VARIABLE, "image_pull_secret", _secret_name),
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
                    f"--{flag} {setting.step}@{setting.text}: not supported for steps with GPUs. This step "
                    "does not copy the data set; set FRCNN_CACHE_LIMIT to limit its cache."
                )
            parsed(setting.text)
        if texts:
            os.environ[variable] = "\n".join(texts)


def choose_release(release: tuple[int, ...] | None) -> None:
    """Stores what a server's release supports in an environment variable, like `choose`.

    Args:
        release: Release of the server, such as (2, 16, 1). `None` if it is unknown.
    """
    os.environ[NON_ROOT_VARIABLE] = "1" if release is not None and release >= SECURITY_CONTEXT_SINCE else ""


def apply(task: "dsl.PipelineTask", name: str, *, accelerators: bool) -> None:
    """Applies the settings in the environment variables to a step.

    Args:
        task: Task of the step.
        name: Name of the step.
        accelerators: Whether accelerators of the step are already set. If so, its disk size cannot be set.
    """
    from kfp import kubernetes

    for setting in _settings(NODE_SELECTOR_VARIABLE):
        if setting.applies(name):
            kubernetes.add_node_selector(task, *_label(setting.text))
    for setting in _settings(TOLERATION_VARIABLE):
        if setting.applies(name):
            key, value, effect = _toleration(setting.text)
            operator = "Exists" if value is None else "Equal"
            kubernetes.add_toleration(task, key, operator, value, effect)
    secrets = [each.text for each in _settings(PULL_SECRET_VARIABLE) if each.applies(name)]
    if secrets:
        kubernetes.set_image_pull_secrets(task, secrets)
    if os.environ.get(NON_ROOT_VARIABLE):
        # No user is named: the images have a numeric one, and some clusters assign one to each namespace.
        kubernetes.set_security_context(task, run_as_non_root=True)
    for setting in _settings(STORAGE_VARIABLE):
        if setting.applies(name) and not accelerators:
            task.set_accelerator_type(STORAGE_RESOURCE).set_accelerator_limit(_size(setting.text))


def _label(text: str) -> tuple[str, str]:
    """Parses LABEL=VALUE."""
    name, separator, value = text.partition("=")
    if not separator or not _KEY.fullmatch(name) or not _VALUE.fullmatch(value):
        raise UsageError(f"--node_selector {text}: expected LABEL=VALUE, such as pool=gpu")
    return name, value


def _toleration(text: str) -> tuple[str, str | None, str | None]:
    """Parses KEY[=VALUE][:EFFECT]; omitted parts become `None`."""
    form = re.fullmatch(rf"([^=:]+)(?:=([^:]*))?(?::({'|'.join(_EFFECTS)}))?", text)
    if form is None or not _KEY.fullmatch(form[1]) or not _VALUE.fullmatch(form[2] or ""):
        raise UsageError(
            f"--toleration {text}: expected KEY[=VALUE][:EFFECT], EFFECT one of {', '.join(_EFFECTS)}"
        )
    return form[1], form[2], form[3]


def _size(text: str) -> int:
    """Parses a size such as 100Gi, in bytes."""
    form = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", text)
    found = int(float(form[1]) * _UNITS[form[2]]) if form and form[2] in _UNITS else 0
    if not found:
        raise UsageError(f"--ephemeral_storage {text}: expected a size such as 100Gi")
    return found


def _secret_name(text: str) -> str:
    """Checks and returns the name of a secret."""
    if len(text) > 253 or not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", text):
        raise UsageError(f"--image_pull_secret {text}: expected the name of a secret, such as registry-login")
    return text


def _steps() -> set[str]:
    from pipelines.resources import POLICIES

    return {name.replace(" ", "-") for name in POLICIES}


def _settings(variable: str) -> list[Setting]:
    return [_setting(line) for line in os.environ.get(variable, "").splitlines() if line]


def _setting(text: str) -> Setting:
    step, separator, rest = text.partition("@")
    return Setting(step, rest) if separator else Setting("", text)
