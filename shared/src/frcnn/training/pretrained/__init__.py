"""Weights from elsewhere, layer by layer: `frcnn.training.pretrained.load.load_pretrained` is the door."""
