import logging

import pytest
from kubernetes import client

from components.mpijob.cluster import Cluster
from components.mpijob.job import Resources, TrainingJob
from components.mpijob.timeouts import Timeouts
from tests.support.kubernetes_double import NAMESPACE, KubernetesDouble

# Trouble is given up soon. What goes well on any machine has time: on a busy one the double is slow to
# start the pods and to answer.
QUICK = Timeouts(
    image=0.3, scheduling=0.3, quota=0.3, operator=60, start=60, unreachable=60, interval=0.1, clean_up=0.5
)


@pytest.fixture
def double():
    with KubernetesDouble() as running:
        yield running


@pytest.fixture
def cluster(double):
    with client.ApiClient(client.Configuration(host=double.url)) as api:
        yield Cluster(api, NAMESPACE)


@pytest.fixture
def job():
    return TrainingJob(
        name="kitti-train",
        namespace=NAMESPACE,
        image="registry.example/frcnn-train:0.1.0",
        training=("frcnn", "train", "-e", "spec.txt"),
        workers=2,
        worker=Resources(cpu="4", memory="16Gi"),
    )


@pytest.fixture
def quick():
    return QUICK


@pytest.fixture(autouse=True)
def _logs(caplog):
    caplog.set_level(logging.INFO)
