"""Resolves a checked spec into the small settings objects that the rest of the library takes.

Only this package, the API and the command line see the spec. Each module resolves the settings of one task:
derived values, defaults that depend on other fields, and unset values are settled here, once.
"""
