"""The heads that a model can have on top: what it answers with.

Not here: which task needs which (`objectives/registry.py`), loading one (`models.py`).
"""

SEQUENCE_CLASSIFICATION = "sequence-classification"
CAUSAL_LM = "causal-lm"
