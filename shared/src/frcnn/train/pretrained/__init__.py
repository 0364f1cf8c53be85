"""Weights from elsewhere, layer by layer: `frcnn.train.pretrained.load.load_pretrained` is the door."""
