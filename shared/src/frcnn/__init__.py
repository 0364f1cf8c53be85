"""Faster R-CNN driven by a prototxt experiment spec: convert, train, evaluate, infer, prune, export."""

__version__ = "0.1.0"
