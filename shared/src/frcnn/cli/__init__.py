"""The commands `frcnn <task>` and `tao model faster_rcnn <task>`: flags and messages, no logic."""
