"""Pruning: which filters matter, which must go together, and the narrower model without the rest."""
