"""Weights from elsewhere, layer by layer: `load_pretrained` is the door, `load` its file."""

from frcnn.train.pretrained.load import load_pretrained
from frcnn.train.pretrained.table import LayerStatus, status_table

__all__ = ["LayerStatus", "load_pretrained", "status_table"]
