"""Pruning: scores filters, finds those that must be removed together, and builds the narrower model."""
