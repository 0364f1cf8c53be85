"""Trains on several nodes: creates, watches and cleans up an MPIJob (kubeflow.org/v2beta1)."""
