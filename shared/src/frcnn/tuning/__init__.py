"""Searches the fields of a spec for the values that give the best detector, with Optuna.

`space` reads which fields to search, `study` keeps the trials, `search` runs them, `results` and `report`
write what was found. The training is passed in as an object, so this package does not depend on it.
"""
