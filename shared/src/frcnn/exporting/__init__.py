"""Exports detectors as ONNX files, INT8 scales, DeepStream files and TensorRT engines."""
