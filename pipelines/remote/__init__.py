"""Runs on a cluster: submitted, scheduled, listed, followed and cancelled through kfp.Client."""
