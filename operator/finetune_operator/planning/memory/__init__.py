"""Predicts the memory of a training process by term: `device.estimate` on a GPU, `host.estimate` on a CPU."""
