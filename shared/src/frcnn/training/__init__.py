"""Training: schedules, optimizers, checkpoints, callbacks, and the trainer that combines them."""
