"""Submitting and following an Experiment, against the API double with a script in the place of Katib."""

import contextlib
import logging
import threading

import pytest
from kubernetes import client

from components.katib.follow import Found, follow, run_experiment
from components.mpijob.api_errors import RefusedError, UnreachableError
from components.mpijob.cluster import Cluster
from components.mpijob.resources import EXPERIMENTS
from frcnn.errors import RunError
from tests.support import katib
from tests.support.kubernetes_double import NAMESPACE, KubernetesDouble


@contextlib.contextmanager
def cluster_of(double):
    with client.ApiClient(client.Configuration(host=double.url)) as api:
        yield Cluster(api, NAMESPACE, EXPERIMENTS)


def run(double, **changes):
    with cluster_of(double) as cluster:
        return run_experiment(cluster, katib.manifest(**changes), interval=0.05)


def test_a_search_that_succeeds_gives_its_best_trial(caplog):
    caplog.set_level(logging.INFO, "components")
    with KubernetesDouble(katib.succeeds) as double:
        found = run(double)
    chosen = katib.assignments(katib.manifest())
    assert {each["name"]: each["value"] for each in found.assignments} == chosen
    assert (found.trial, found.mean_ap) == ("tune-bccd-1a2b3c4d", 0.4321)
    assert (found.succeeded, found.stopped, found.failed) == (7, 4, 1)
    assert "12 of 12 trials: 7 succeeded, 4 ended early, 1 failed, best mAP 0.4321" in caplog.text


def test_an_equal_search_is_joined_and_another_one_of_its_name_is_not():
    with KubernetesDouble() as double:
        double.create("experiments", katib.manifest(owner="earlier"))
        threading.Timer(0.2, katib.succeeds, (double, katib.manifest())).start()
        assert isinstance(run(double, owner="step"), Found)
        owners = double.find("experiments", katib.NAME)["metadata"]["ownerReferences"]
        assert [each["name"] for each in owners] == ["earlier", "step"]
        with pytest.raises(
            RefusedError, match=r"experiment/tune-bccd exists in namespace team with other settings"
        ):
            run(double, trials=5)


def test_a_search_that_fails_says_why_and_is_begun_again():
    with KubernetesDouble(katib.fails) as double:
        with pytest.raises(
            RunError, match=r"experiment/tune-bccd failed: it has failed. Look at the trials: kubectl"
        ):
            run(double)
        double.on_create = katib.succeeds
        assert run(double).mean_ap == 0.4321


def test_a_search_without_a_metric_says_what_to_check():
    def blind(double, found):
        current = double.find("experiments", katib.NAME)
        unavailable = {"metrics": [{"name": "validation_mAP", "max": "unavailable"}]}
        double.put(
            "experiments",
            {**current, "status": katib.status(current, currentOptimalTrial={"observation": unavailable})},
        )

    with (
        KubernetesDouble(blind) as double,
        pytest.raises(RunError, match="metrics-collector-injection: enabled"),
    ):
        run(double)


def test_a_search_that_is_deleted_is_an_error():
    def vanishes(double, found):
        double.wait_for(("get", "kubeflow.org", "experiments"))
        double.remove("experiments", katib.NAME)

    with KubernetesDouble(vanishes) as double, pytest.raises(RunError, match="was deleted while it ran"):
        run(double)


def test_a_cluster_without_katib_and_a_webhook_that_objects_are_explained():
    with KubernetesDouble() as double:
        double.known.discard(("kubeflow.org", "experiments"))
        with pytest.raises(
            RefusedError, match=r"no Experiment resource \(kubeflow.org/v1beta1\). Install Katib"
        ):
            run(double)
    with KubernetesDouble() as double:
        text = (
            'admission webhook "validator.experiment.katib.kubeflow.org" denied the request: spec.parameters'
        )
        double.refusals["create experiments"] = (403, "Forbidden", text)
        with pytest.raises(RefusedError) as refused:
            run(double)
        assert "denied the request: spec.parameters" in str(refused.value)
        assert "frcnn-launcher" not in str(refused.value)


def test_an_api_that_comes_back_is_waited_for_and_one_that_does_not_is_an_error():
    with KubernetesDouble() as double, cluster_of(double) as cluster:
        double.create("experiments", katib.manifest())
        double.refusals["get experiments"] = (503, "ServiceUnavailable", "away")
        waited = []

        def wait(seconds):
            waited.append(seconds)
            if len(waited) == 3:
                double.refusals.clear()
                katib.succeeds(double, katib.manifest())

        assert follow(cluster, katib.NAME, interval=1.0, patience=10.0, wait=wait).mean_ap == 0.4321
        assert waited == [1.0, 1.0, 1.0]
        double.refusals["get experiments"] = (503, "ServiceUnavailable", "away")
        with pytest.raises(UnreachableError, match="503 away"):
            follow(cluster, katib.NAME, interval=1.0, patience=2.0, wait=lambda seconds: None)
