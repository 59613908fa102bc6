"""LoRA and DoRA: small trainable matrices beside frozen projections; DoRA learns the length of each row as well.

Not here: frozen weights in fewer bits (`qlora.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_trainer.adapters import attaching, eva, targets
from finetune_trainer.contract import FailureReason, LoraSettings, TechniqueSettings
from finetune_trainer.process.failures import TrainerFailure

WITH_MAGNITUDES = ("dora", "qdora")

TARGETS_BY_ARCHITECTURE: Mapping[str, tuple[str, ...]] = {
    "bert": ("query", "value"),
    "roberta": ("query", "value"),
    "distilbert": ("q_lin", "v_lin"),
    "phi3": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "pissa": {"init_lora_weights": "pissa"},
    "olora": {"init_lora_weights": "olora"},
    "eva": eva.CONFIG,  # which starts like LoRA until it has seen the rows
    "loftq": {},  # starts like LoRA and is then moved by what quantization lost
}


def attach(model: Any, technique: TechniqueSettings, head: str) -> Any:
    """Put LoRA beside the chosen projections; a classifier's head is trained whole and saved with the adapter."""
    settings = technique.lora
    if settings is None:
        raise _refused(f"technique {technique.method} without its lora settings")
    _check_variant(technique, settings.variant)
    values = {
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "target_modules": _targets(model, settings),
        "use_dora": technique.method in WITH_MAGNITUDES,
        **_whole_layers(model, settings),
        **VARIANTS[settings.variant],
    }
    adapted = attaching.attach(model, "LoraConfig", values, head=head, path="technique.lora")
    if settings.variant == "loftq":
        from finetune_trainer.adapters import loftq  # needs bitsandbytes, which is hidden from other runs

        loftq.begin(adapted)
    return adapted


def _check_variant(technique: TechniqueSettings, variant: str) -> None:
    path, stored = "technique.lora.variant", technique.quantization
    if variant not in VARIANTS:
        raise _refused(f"{path}: {variant} is not known to this trainer: {', '.join(VARIANTS)}")
    if variant == "loftq" and (technique.method != "qlora" or stored is None or stored.type != "nf4"):
        raise _refused(f"{path}: loftq makes up for nf4 weights under method qlora only; set olora, or those")
    if variant in {"orthogonal", "pissa"} and stored is not None:
        raise _refused(f"{path}: {variant} cannot start from quantized weights; set olora or method: lora")


def _targets(model: Any, settings: LoraSettings) -> list[str] | str:
    wanted = settings.target_modules or TARGETS_BY_ARCHITECTURE.get(model.config.model_type, (targets.ALL_LINEAR,))
    return targets.checked(model, wanted, "technique.lora.targetModules")


def _whole_layers(model: Any, settings: LoraSettings) -> dict[str, Any]:
    """Choose the layers that are trained whole; tied embeddings stay tied, else the merged model would lose one."""
    if not settings.modules_to_save:
        return {}
    path = "technique.lora.modulesToSave"
    modules = {name: module for name, module in model.named_modules() if name}
    for wanted in settings.modules_to_save:
        found = [module for name, module in modules.items() if name.split(".")[-1] == wanted.split(".")[-1]]
        if not found:
            names = sorted({name.split(".")[-1] for name in modules if not name.split(".")[-1].isdigit()})
            raise _refused(f"{path}: this model has no layer {wanted}; it has {', '.join(names)}")
        if any(hasattr(each.weight, "quant_state") or hasattr(each.weight, "CB") for each in found if _weighted(each)):
            raise _refused(f"{path}: {wanted} is stored quantized and cannot be trained whole; take lm_head or none")
    tied = bool(getattr(model.config.get_text_config(), "tie_word_embeddings", False))
    return {"modules_to_save": list(settings.modules_to_save), "ensure_weight_tying": tied}


def _weighted(module: Any) -> bool:
    return getattr(module, "weight", None) is not None


def _refused(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.INVALID_RUN, message)
