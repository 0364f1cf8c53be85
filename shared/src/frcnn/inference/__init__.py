"""Inference: annotates the images of a folder and writes KITTI labels."""
