"""Our Experiments before Katib's own code, and its CRDs before a real API server."""

import copy
import io

import pytest
import yaml

from components.katib.experiment import METRIC
from frcnn.training.callbacks.metric_lines import MetricLines
from tests.support import katib, katib_judge

pytestmark = pytest.mark.kube


@pytest.mark.parametrize("kind", katib_judge.KINDS)
def test_the_controller_makes_the_trial_that_the_template_says(kind):
    """Values, redirection and marks around the command are Katib's; the words of ours stay whole."""
    experiment = katib.manifest(katib_judge.KINDS[kind])
    made = katib_judge.trial(experiment)
    primary = experiment["spec"]["trialTemplate"]["primaryContainerName"]
    (container,) = [each for each in made["pod"]["spec"]["containers"] if each["name"] == primary]
    assert container["command"] == ["sh", "-c"]
    (script,) = container["args"]
    assert "trialParameters" not in script
    assert "s3://runs/tune/searched-0a1b2c3d" in script and "1>/var/log/katib/metrics.log 2>&1" in script
    assert [each["name"] for each in made["pod"]["spec"]["containers"]][1:] == [
        "metrics-logger-and-collector"
    ]


@pytest.mark.parametrize("kind", katib_judge.KINDS)
def test_the_validating_webhook_has_no_objection(kind):
    assert katib_judge.validated(katib.manifest(katib_judge.KINDS[kind])) == []


@pytest.mark.parametrize(
    ("place", "value", "objection"),
    [
        (("spec", "algorithm", "algorithmName"), "no-such", "unable to get Suggestion config data"),
        (("spec", "parallelTrialCount"), 99, "should be less than or equal to spec.maxTrialCount"),
        (("spec", "parameters"), [], "spec.parameters or spec.nasConfig must be specified"),
        (("metadata", "name"), "x" * 41, "may not be longer than 40 characters"),
        (("spec", "trialTemplate", "primaryContainerName"), "", "must be specified"),
        (("spec", "metricsCollectorSpec", "collector", "kind"), "NoSuch", "invalid metrics collector kind"),
    ],
)
def test_the_judge_objects_to_what_is_wrong(place, value, objection):
    experiment = copy.deepcopy(katib.manifest())
    inner = experiment
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    assert any(objection in each for each in katib_judge.validated(experiment))


def test_the_collector_reads_the_lines_that_a_training_prints(tmp_path):
    stream = io.StringIO()
    lines = MetricLines(stream)
    for epoch, value in enumerate((0.125, 0.5, 0.25)):
        stream.write(f"2026-01-01 00:00:00 INFO Validation after epoch {epoch + 1}: mAP {value}\n")
        lines.on_epoch_end(epoch, {"mAP": value, "loss": 1.0})
    (tmp_path / "metrics.log").write_text(stream.getvalue())
    (line,) = katib.manifest()["spec"]["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"]
    found = katib_judge.collected(tmp_path / "metrics.log", METRIC, line)
    assert [(name, float(value)) for _, name, value in found] == [
        (METRIC, 0.125),
        (METRIC, 0.5),
        (METRIC, 0.25),
    ]
    assert all(moment.startswith("20") and moment.endswith("Z") for moment, _, _ in found)


@pytest.mark.parametrize("kind", katib_judge.KINDS)
def test_the_crd_takes_the_experiment_and_keeps_it_as_it_is(plane, kind):
    """Katib's CRD has no schema of the fields; those are its webhook's."""
    crds = katib_judge.source() / "manifests/v1beta1/components/crd"
    plane.apply(yaml.safe_load((crds / "experiment.yaml").read_text("utf-8")))
    namespace = plane.namespace(f"katib-{kind}")
    experiment = katib.manifest(katib_judge.KINDS[kind])
    experiment["metadata"] = {**experiment["metadata"], "namespace": namespace}
    from tests.kube.control_plane import found, wait_until

    def served():
        from kubernetes import client

        resources = client.CustomObjectsApi(plane.admin)
        return found(resources.list_cluster_custom_object, "kubeflow.org", "v1beta1", "experiments")

    wait_until(served, what="the API of Experiments")
    kept = plane.apply(experiment)
    assert kept["spec"] == experiment["spec"]
