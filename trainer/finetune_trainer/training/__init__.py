"""The training loop: `loop.train(trainer, attempt, store)` runs it, with checkpoints, and stops when it is asked to."""
