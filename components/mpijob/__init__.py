"""Training on several nodes: describes, creates, watches and cleans up an MPIJob (kubeflow.org/v2beta1)."""
