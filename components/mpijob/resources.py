"""Kinds of objects that a `Cluster` works on."""

import dataclasses

_INSTALL_OPERATOR = (
    "Install mpi-operator v0.8 (kubectl apply --server-side -f .../mpi-operator/v0.8.2/deploy/v2beta1/"
    "mpi-operator.yaml)"
)


@dataclasses.dataclass(frozen=True)
class Resource:
    """Kind of object that a `Cluster` works on.

    Attributes:
        group: API group.
        version: Version of the API.
        plural: Name in URLs.
        kind: Name in messages, in lower case.
        missing: What to do if the cluster does not know the resource.
    """

    group: str
    version: str
    plural: str
    kind: str
    missing: str


MPIJOBS = Resource(
    "kubeflow.org",
    "v2beta1",
    "mpijobs",
    "mpijob",
    f"the cluster has no MPIJob resource (kubeflow.org/v2beta1). {_INSTALL_OPERATOR}. If a "
    "training-operator is installed, its MPIJob v1 conflicts with it; see docs/cluster.md.",
)
EXPERIMENTS = Resource(
    "kubeflow.org",
    "v1beta1",
    "experiments",
    "experiment",
    "the cluster has no Experiment resource (kubeflow.org/v1beta1). Install Katib v0.19; see docs/tuning.md.",
)
