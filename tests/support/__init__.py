"""Shared by tests: golden numbers, and a second implementation of the detector in plain NumPy."""
