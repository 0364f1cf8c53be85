"""Names of an exported graph's inputs and outputs, for those who write it and those who run it."""

# Images, float32 [B, C, H, W], prepared as the data pipeline prepares them.
INPUT = "input_image"
# Heights and widths of the images in px, int32 [B, 2]; an input of models of dynamic shape only.
SIZE_INPUT = "image_size"
# Of the standard graph.
OUTPUTS = ("boxes", "scores", "classes", "count")
# Of the plugin graph.
PLUGIN_OUTPUTS = ("nms_out", "nms_out_1")
