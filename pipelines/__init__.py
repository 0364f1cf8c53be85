"""The pipeline: its DAG, and how it is compiled, submitted, and run on one machine."""
