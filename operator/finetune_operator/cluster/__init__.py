"""Talks to the Kubernetes API: `observe` reads, `execute` acts, `publish` writes status and Events."""
