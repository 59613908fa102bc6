"""What is trained of a model: `registry.attach(model, run, head)`, one module per technique."""
