"""The detector: layers, backbones, RPN, proposals, targets, RoI head, losses, detections."""
