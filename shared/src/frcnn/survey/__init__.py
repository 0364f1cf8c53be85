"""Surveys of labeled data sets: exact counts, anchor coverage, faults, and a report page.

A survey reads a data set once and keeps a small row per image and per object. Every figure is computed from
these rows. Nothing here needs TensorFlow.
"""
