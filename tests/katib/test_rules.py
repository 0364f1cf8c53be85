"""Our Experiments under the rules of Katib's webhook, and their trials under the schemas of their kinds."""

import copy

import kubernetes_validate
import pytest

from components.katib.build import manifest_of
from components.mpijob.validate import problems
from tests.support import katib, katib_rules

KUBERNETES = "1.31"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "change", [{}, {"early_stopping": False}, {"trials": 1, "parallel": 5}, {"epochs": 1}]
)
def test_the_webhook_has_no_objection(workers, change):
    assert katib_rules.objections(katib.manifest(workers, **change)) == []


def test_nor_to_what_the_command_line_makes():
    assert katib_rules.objections(manifest_of(katib.wanted(name="a" * 40), "team")) == []
    assert katib_rules.objections(manifest_of(katib.wanted(workers=3, gpus=1), "team")) == []


@pytest.mark.parametrize(
    ("place", "value", "objection"),
    [
        (("metadata", "name"), "a" * 41, "name"),
        (("spec", "parallelTrialCount"), 99, "parallelTrialCount"),
        (("spec", "algorithm", "algorithmName"), "no-such", "algorithm"),
        (("spec", "parameters"), [], "no parameters"),
        (("spec", "trialTemplate", "primaryContainerName"), "", "primaryContainerName"),
        (("spec", "trialTemplate", "trialSpec", "metadata"), {"name": "x"}, "metadata.name"),
        (
            ("spec", "trialTemplate", "trialSpec", "extra"),
            "${trialParameters.more}",
            "not found in trialParameters",
        ),
        (("spec", "trialTemplate", "trialParameters"), [], "are in no trial"),
        (("spec", "metricsCollectorSpec", "source", "filter", "metricsFormat"), ["(a)"], "two top"),
    ],
)
def test_the_rules_object_to_what_is_wrong(place, value, objection):
    experiment = copy.deepcopy(katib.manifest())
    inner = experiment
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    assert any(objection in each for each in katib_rules.objections(experiment))


def test_the_job_of_a_trial_is_one_that_kubernetes_knows():
    job = katib.manifest()["spec"]["trialTemplate"]["trialSpec"]
    kubernetes_validate.validate({**job, "metadata": {"name": "trial"}}, KUBERNETES, strict=True)


def test_the_mpijob_of_a_trial_is_one_that_the_operator_takes():
    job = katib.manifest(2)["spec"]["trialTemplate"]["trialSpec"]
    assert list(problems({**job, "metadata": {"name": "trial"}})) == []
