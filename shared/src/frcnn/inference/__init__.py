"""A folder of images in; annotated images and KITTI labels out."""
