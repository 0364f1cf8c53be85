"""Box arithmetic and other small tensor functions of the detector.

Letters in shapes, here and in `frcnn.model`: B images, H and W pixels, h and w cells of a feature map,
A anchors per cell, N anchors, R proposals, G padded ground truth boxes, K sampled RoIs or detections,
C foreground classes (C + 1 with background, which comes last), P cells per side of a pooled RoI.
Boxes are `yxyx`, float32, in pixels of the network input. Box deltas are (dx, dy, dw, dh).

Height and width of the images are two ints if all images have one size. Otherwise they are two int32
tensors `[B]`, and the rest of the batch's H x W is padding at the right and bottom.
"""
