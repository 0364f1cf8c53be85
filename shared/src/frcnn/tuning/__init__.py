"""Searches the fields of a spec for the values that give the best detector, with Optuna.

`space` reads the fields to search, `study` stores the trials, `search` runs them, `results` and `report`
write the outcome. The training is passed in as an object, so this package does not depend on it.
"""
