"""Flags and messages of the commands `frcnn <task>` and `tao model faster_rcnn <task>`."""
