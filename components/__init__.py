"""The steps of the pipeline: an image, an entry script and a KFP definition each."""
