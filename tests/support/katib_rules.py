"""Rules of Katib's validating webhook, written down again for machines without Go.

Source: kubeflow/katib v0.19.0, pkg/webhook/v1beta1/experiment/validator/validator.go. Where Go is, the
original judges the same Experiments (tests/kube/test_katib.py). Only rules that ours could break are here.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

# Algorithms of the standalone installation's configuration.
SUGGESTIONS = {
    *("random", "tpe", "grid", "hyperband", "bayesianoptimization", "cmaes", "sobol", "multivariate-tpe"),
    *("enas", "darts", "pbt"),
}
_PLACEHOLDER = re.compile(r"\$\{trialParameters\..+?\}")
_META = {"${trialSpec.Name}", "${trialSpec.Namespace}", "${trialSpec.Kind}", "${trialSpec.APIVersion}"}


def objections(experiment: dict[str, Any]) -> list[str]:
    """What the webhook would object to."""
    spec = experiment["spec"]
    return [
        *_names_and_counts(experiment["metadata"]["name"], spec),
        *_algorithms(spec),
        *(text for each in spec["parameters"] for text in _parameter(each)),
        *_template(spec),
        *_collector(spec["metricsCollectorSpec"]),
    ]


def _names_and_counts(name: str, spec: dict[str, Any]) -> Iterator[str]:
    if not re.match(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) or len(name) > 40:
        yield f"name {name}"
    most = spec["maxTrialCount"]
    for count in ("maxTrialCount", "parallelTrialCount"):
        if not 0 < spec[count] <= most:
            yield f"{count} {spec[count]}"
    if not 0 <= spec["maxFailedTrialCount"] <= most:
        yield f"maxFailedTrialCount {spec['maxFailedTrialCount']}"
    if (
        spec["objective"]["type"] not in ("minimize", "maximize")
        or not spec["objective"]["objectiveMetricName"]
    ):
        yield "objective"


def _algorithms(spec: dict[str, Any]) -> Iterator[str]:
    if spec["algorithm"]["algorithmName"] not in SUGGESTIONS:
        yield f"algorithm {spec['algorithm']['algorithmName']}"
    if spec.get("earlyStopping", {"algorithmName": "medianstop"})["algorithmName"] != "medianstop":
        yield "early stopping"
    if spec["resumePolicy"] not in ("Never", "LongRunning", "FromVolume"):
        yield "resumePolicy"
    if not spec["parameters"]:
        yield "no parameters"


def _parameter(each: dict[str, Any]) -> Iterator[str]:
    feasible, kind = each["feasibleSpace"], each["parameterType"]
    if kind in ("int", "double"):
        if "list" in feasible or not (feasible.get("min") and feasible.get("max")):
            yield f"parameter {each['name']}: min and max"
    elif kind not in ("categorical", "discrete") or set(feasible) & {"min", "max", "step"}:
        yield f"parameter {each['name']}: list"
    if feasible.get("distribution", "uniform") not in ("uniform", "logUniform", "normal", "logNormal"):
        yield f"parameter {each['name']}: distribution"
    if not all(isinstance(value, str) for value in feasible.get("list", [])):
        yield f"parameter {each['name']}: text"


def _template(spec: dict[str, Any]) -> Iterator[str]:
    template = spec["trialTemplate"]
    for name in ("primaryContainerName", "successCondition", "failureCondition", "trialParameters"):
        if not template.get(name):
            yield f"{name} must be specified"
    yield from _placeholders(template, {each["name"] for each in spec["parameters"]})
    trial = template["trialSpec"]
    if {"name", "namespace"} & set(trial.get("metadata", {})):
        yield "metadata.name and metadata.namespace must be omitted"
    if not (trial.get("apiVersion") and trial.get("kind")):
        yield "apiVersion and kind must be specified"


def _placeholders(template: dict[str, Any], known: set[str]) -> Iterator[str]:
    text = json.dumps(template["trialSpec"])
    names = [each["name"] for each in template["trialParameters"]]
    references = [each["reference"] for each in template["trialParameters"]]
    if len(set(names)) < len(names) or len(set(references)) < len(references):
        yield "duplicated trial parameters"
    for name, reference in zip(names, references, strict=True):
        if reference not in known | _META:
            yield f"reference {reference} does not exist"
        placeholder = f"${{trialParameters.{name}}}"
        if placeholder not in text or set(name) & set("{}"):
            yield f"{name} not found in the template"
        text = text.replace(placeholder, "test-value")
    if left := _PLACEHOLDER.findall(text):
        yield f"{left} not found in trialParameters"
    # The generator counts: each parameter has to be a trial parameter, or no trial is ever made.
    if known - set(references):
        yield f"parameters {known - set(references)} are in no trial"


def _collector(found: dict[str, Any]) -> Iterator[str]:
    # Katib 0.19 does not look at the filter of a StdOut collector, although a wrong one finds no metric.
    if found["collector"]["kind"] != "StdOut":
        yield "collector"
    for line in found["source"]["filter"]["metricsFormat"]:
        if not re.search(r".*\(.*\).*\(.*\).*", line):
            yield "two top subexpressions are required"
