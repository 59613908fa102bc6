"""Makes transformers' Auto classes load folders whose model_type is phi3small."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from finetune_trainer.models.phi3small.configuration import Phi3SmallConfig
from finetune_trainer.models.phi3small.model import (
    Phi3SmallForCausalLM,
    Phi3SmallForSequenceClassification,
    Phi3SmallForTokenClassification,
    Phi3SmallModel,
)

CLASSES = (
    (AutoModel, Phi3SmallModel),
    (AutoModelForCausalLM, Phi3SmallForCausalLM),
    (AutoModelForSequenceClassification, Phi3SmallForSequenceClassification),
    (AutoModelForTokenClassification, Phi3SmallForTokenClassification),
)


def register() -> None:
    """Register the model; doing it again changes nothing."""
    AutoConfig.register(Phi3SmallConfig.model_type, Phi3SmallConfig, exist_ok=True)
    for auto, kind in CLASSES:
        auto.register(Phi3SmallConfig, kind, exist_ok=True)
