"""Several processes at one training: `launch.py` starts them, `World` is what each knows of the others."""
