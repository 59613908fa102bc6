"""Lets hypothesis take its time: how long an example takes, or how many are drawn for it, says nothing about it."""

import importlib.util

if importlib.util.find_spec("hypothesis"):  # the environment of the trainer has none
    from hypothesis import HealthCheck, settings

    slow = (HealthCheck.too_slow, HealthCheck.filter_too_much)
    settings.register_profile("unhurried", deadline=None, suppress_health_check=slow)
    settings.load_profile("unhurried")
