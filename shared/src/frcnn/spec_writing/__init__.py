"""Writes specs for training on a surveyed data set, with the reason for each number in a comment."""
