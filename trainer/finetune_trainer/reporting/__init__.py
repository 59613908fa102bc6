"""What the outside sees: `journal.Journal(run)` holds it, the other modules show it.

The journal is the one place that changes while a run goes on; everything it holds is frozen and replaced whole.
"""
