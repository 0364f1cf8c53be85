"""Benchmarks; each prints a table. README.md lists the commands."""

from frcnn.console.quiet_import import hook_tensorflow_import

# Benchmarks import TensorFlow as the commands do.
hook_tensorflow_import()
