"""Benchmarks; each prints a table. README.md lists the commands."""
