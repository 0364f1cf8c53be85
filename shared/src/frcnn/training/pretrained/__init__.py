"""Loads pretrained weights layer by layer.

Entry point: `frcnn.training.pretrained.load.load_pretrained`.
"""
