"""Evaluation of a detector: matching, average precision, report and plots."""
