"""Pipeline steps, each with an image, an entry script and a KFP definition."""
