"""What a model learns from examples: `registry.find(task)`, one module per family of tasks."""
