"""Phi-3-small, which transformers lacks: `register` makes its Auto classes know it, without any code of the checkpoint.

Written after the published configuration and the module names of the checkpoints, so that their weights load as they
are; the kernels of the original, which need a GPU, are masks of ordinary attention here.
"""

from finetune_trainer.models.phi3small.registration import register
from finetune_trainer.models.phi3small.tokenizer import read as read_tokenizer

__all__ = ["read_tokenizer", "register"]
