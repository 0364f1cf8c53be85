"""The public functions of `import frcnn`, one module for each task.

Each resolves locations, key and spec, and calls the part of the library that does the work. The command line
and the container steps call them too, so that all doors lead the same way.
"""
