"""Writes specs for a training on a data set that was surveyed: every number has its reason next to it."""
