"""Images and artifacts of registries; `files.download` is the entry."""
