"""Checks and measures the GPU code on a machine with an NVIDIA GPU, in at most 10 minutes."""
