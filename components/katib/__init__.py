"""Searches the fields of a spec on a cluster with Katib: describes the Experiment, submits and follows it."""
