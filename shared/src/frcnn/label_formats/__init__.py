"""Converts labels between KITTI, COCO, Pascal VOC and YOLO.

All formats meet in `ImageRecord`: boxes `x1 y1 x2 y2` in pixels from 0. COCO stores x1, y1, x2 - x1, y2 - y1;
Pascal VOC counts pixels from 1; YOLO stores center and sides as shares of the image.
"""
