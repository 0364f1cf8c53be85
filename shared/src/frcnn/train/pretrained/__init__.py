"""Weights from elsewhere, layer by layer: `load.load_pretrained` is the door.

Nothing is imported here, so that the process that reads HDF5 (`apart`) starts quickly.
"""
