"""HDF5 files of strangers: read whole, in a process of its own (`apart`), into plain arrays (`tree`)."""
