"""Runs one attempt of a fine-tuning job from a `TrainerRun`."""
