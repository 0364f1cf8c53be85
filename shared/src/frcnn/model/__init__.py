"""Detector: layers, backbones, RPN, proposals, targets, RoI head, losses and detections."""
