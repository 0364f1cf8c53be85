"""Box arithmetic and the other small tensor functions that the detector is made of.

Letters in shapes, here and in `frcnn.model`: B images, H and W pixels, h and w cells of a feature map,
A anchors a cell, N anchors, R proposals, G padded ground truth boxes, K sampled RoIs or detections,
C foreground classes (C + 1 with background, which comes last), P cells of a pooled RoI's side.
Boxes are `yxyx`, float32, pixels of the network input. Codes are (dx, dy, dw, dh).

Height and width of the images are two ints where all images have one size, or two int32 [B] where each has
its own and the rest of the batch's H x W is padding, at the right and bottom.
"""
