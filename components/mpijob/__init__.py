"""Training on many nodes: an MPIJob (kubeflow.org/v2beta1) is described, created, followed, cleaned up."""
