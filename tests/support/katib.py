"""A search on a cluster for tests, and what Katib's controller makes of its Experiment."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.katib.build import Wanted
from components.katib.experiment import experiment
from components.katib.search import KatibSearch
from components.mpijob.job import Owner, Resources, TrainingJob
from frcnn.spec import load_experiment
from frcnn.spec.load import parse_experiment
from frcnn.tuning.default_space import default_space
from frcnn.tuning.space_file import parse_space
from frcnn.tuning.tuned_spec import TunedSpec

if TYPE_CHECKING:
    from tests.support.kubernetes_double import KubernetesDouble

ROOT = Path(__file__).parents[2]
NAME, NAMESPACE = "tune-bccd", "team"
# Awkward on purpose: quotes, a dollar sign, a line break.
ODD = '# it\'s $HOME, "$(S3_ENDPOINT)" and $$\n'


@functools.cache
def spec() -> Any:
    """The spec of the BCCD example."""
    return load_experiment(ROOT / "examples/specs/bccd_resnet18.txt")


def tuned() -> TunedSpec:
    return TunedSpec(spec())


def search(workers: int = 1, *, owner: str = "", **changes: Any) -> KatibSearch:
    """A search of the default space and of two backbones; each trial trains on this many pods."""
    job = TrainingJob(
        NAME,
        NAMESPACE,
        "registry.example/frcnn-train:1",
        ("python",),
        workers,
        Resources("4", "16Gi", 1),
        service_account="frcnn-training",
        secret_environment={"FRCNN_KEY": ("frcnn-model-key", "key")},
        owner=Owner(owner, f"uid of {owner}") if owner else None,
    )
    known = KatibSearch(
        job=job,
        space=default_space(tuned(), ["mobilenet_v2"]),
        spec_place=ODD + spec().to_text(),
        records="s3://data/records",
        checkpoints="s3://runs/tune/",
        trials=12,
        parallel=3,
        epochs=10,
    )
    return dataclasses.replace(known, **changes)


def manifest(workers: int = 1, **changes: Any) -> dict[str, Any]:
    return experiment(search(workers, **changes))


def wanted(**changes: Any) -> Wanted:
    known = Wanted(
        spec=tuned(),
        space=parse_space(
            'search { field: "model_config.roi_mini_batch" value: "32" value: "64" }', "", tuned()
        ),
        records="s3://data/records",
        checkpoints="s3://runs/tune",
        trials=4,
        parallel=2,
        image="frcnn-train:1",
        options="",
    )
    return dataclasses.replace(known, **changes)


def assignments(found: dict[str, Any]) -> dict[str, str]:
    """What a suggestion service could choose: the first of a list, the middle of an interval."""
    return {each["name"]: _middle(each) for each in found["spec"]["parameters"]}


def _middle(parameter: dict[str, Any]) -> str:
    feasible = parameter["feasibleSpace"]
    if "list" in feasible:
        return str(feasible["list"][0])
    return str((float(feasible["min"]) + float(feasible["max"])) / 2)


def status(found: dict[str, Any], kind: str = "Succeeded", **more: Any) -> dict[str, Any]:
    """The status of an Experiment at its end, with the fields of Katib v0.19's ExperimentStatus."""
    chosen = [{"name": name, "value": value} for name, value in assignments(found).items()]
    metrics = [{"name": "validation_mAP", "latest": "0.41", "min": "0.1", "max": "0.4321"}]
    return {
        "conditions": [
            {"type": "Created", "status": "True", "reason": "ExperimentCreated"},
            {"type": "Running", "status": "False", "reason": "ExperimentRunning"},
            {
                "type": kind,
                "status": "True",
                "reason": f"Experiment{kind}",
                "message": f"it has {kind.lower()}",
            },
        ],
        "currentOptimalTrial": {
            "bestTrialName": f"{NAME}-1a2b3c4d",
            "parameterAssignments": chosen,
            "observation": {"metrics": metrics},
        },
        "trials": 12,
        "trialsSucceeded": 7,
        "trialsEarlyStopped": 4,
        "trialsFailed": 1,
        **more,
    }


def succeeds(double: "KubernetesDouble", found: dict[str, Any]) -> None:
    """Plays the controller: ends the Experiment well."""
    current = double.find("experiments", found["metadata"]["name"])
    double.put("experiments", {**current, "status": status(current)})


def fails(double: "KubernetesDouble", found: dict[str, Any]) -> None:
    """Plays the controller: too many trials failed."""
    current = double.find("experiments", found["metadata"]["name"])
    double.put("experiments", {**current, "status": status(current, "Failed")})


def again(text: str) -> Any:
    """Parses a spec as a step does."""
    return parse_experiment(text, remarks=False).spec
