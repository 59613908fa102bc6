"""Looks for a way in which a job fits: `fitting.fit` for one machine and method, `alternatives` for everything else."""
