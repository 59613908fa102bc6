"""What the run delivers, made from the trained model: `artifacts.export` is the entry."""
