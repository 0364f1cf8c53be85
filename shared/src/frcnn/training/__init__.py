"""Training: schedules, optimizers, checkpoints, callbacks, and the trainer that puts them together."""
