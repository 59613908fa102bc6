"""One process of an attempt: its environment, what it fails with, how it ends."""
