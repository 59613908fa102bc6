"""Models as they are loaded: from folders, with the heads that tasks need, and one that transformers lacks."""
