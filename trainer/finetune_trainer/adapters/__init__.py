"""What is trained of a model: `registry.attach(model, technique, head)`, one module per technique."""
