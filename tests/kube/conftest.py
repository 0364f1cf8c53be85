import itertools

import pytest
import yaml

from tests.kube import control_plane
from tests.support import mpijob_schema

_numbers = itertools.count(1)
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="session")
def plane(tmp_path_factory):
    with control_plane.running(tmp_path_factory.mktemp("kube")) as running:
        yield running


@pytest.fixture
def namespace(plane):
    """A new namespace, in which pods must keep to PodSecurity "restricted"."""
    return plane.namespace(f"team-{next(_numbers)}", RESTRICTED)


@pytest.fixture(scope="session")
def mpijobs(plane):
    """The MPIJob CRD of mpi-operator, where it is at hand."""
    built = control_plane.programs() / "kubeflow.org_mpijobs.yaml"
    path = built if built.is_file() else mpijob_schema.CRD
    if not path.is_file():
        pytest.skip("the MPIJob CRD is not at hand")
    plane.apply(yaml.safe_load(path.read_text("utf-8")))

    def served():
        from kubernetes import client

        resources = client.CustomObjectsApi(plane.admin)
        return control_plane.found(resources.list_cluster_custom_object, "kubeflow.org", "v2beta1", "mpijobs")

    control_plane.wait_until(served, what="the API of MPIJobs")


@pytest.fixture(scope="session")
def operator(plane, mpijobs):
    with control_plane.operator(plane):
        yield
