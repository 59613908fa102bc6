"""The fine-tuning operator: turns FineTuneJobs into planned, watched and explained training pods."""

__version__ = "0.1.0"
