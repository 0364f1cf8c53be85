"""Public functions of `import frcnn`, one module for each task.

Each function resolves locations, key and spec, then calls the part of the library that does the work. The
command line and the container steps call the same functions.
"""
