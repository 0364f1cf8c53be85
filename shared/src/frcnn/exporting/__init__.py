"""Export: detectors as ONNX files, what goes with them, and detectors made of such files."""
