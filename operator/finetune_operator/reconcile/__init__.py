"""Decides what to do about a job from what was seen of it; `decide.decide` is the entry."""
