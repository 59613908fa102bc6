"""Lets hypothesis take its time: how long an example takes says nothing about whether it holds."""

import importlib.util

if importlib.util.find_spec("hypothesis"):  # the environment of the trainer has none
    from hypothesis import settings

    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")
