"""The model to start from: found in its folder, checked, and loaded with the head that the task needs.

Not here: bringing it there (`sources/`), what is trained of it (`adapters/`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from finetune_trainer.contract import FailureReason, QuantizationSettings, TrainerRun
from finetune_trainer.models import heads, phi3small, text_part
from finetune_trainer.process import environment
from finetune_trainer.process.failures import TrainerFailure

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "bf16-mixed": torch.bfloat16}
MIXED = ("fp16", "bf16-mixed")
"""Precisions that compute in 16 bits, and in which a weight that learns is kept in fp32."""

KINDS = {
    heads.SEQUENCE_CLASSIFICATION: AutoModelForSequenceClassification,
    heads.TOKEN_CLASSIFICATION: AutoModelForTokenClassification,
    heads.QUESTION_ANSWERING: AutoModelForQuestionAnswering,
    heads.SEQUENCE_TO_SEQUENCE: AutoModelForSeq2SeqLM,
    heads.CAUSAL_LM: AutoModelForCausalLM,
}
phi3small.register()


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model as it comes, with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load(run: TrainerRun, head: str, labels: tuple[str, ...]) -> Base:
    """Load tokenizer and model.

    Raises:
        TrainerFailure: ModelNotFound, or InvalidRun for a run that does not fit the model.
    """
    set_seed(run.training.seed)  # a new head is drawn here, and must be the same one in each attempt
    folder = locate(run)
    tokenizer = _tokenizer(folder)
    config = _config(folder, run, head, labels)
    if config.get_text_config().pad_token_id is None:
        config.get_text_config().pad_token_id = tokenizer.pad_token_id
    quantization = run.technique.quantization
    learns_whole = run.technique.method == "full" and run.training.precision in MIXED
    dtype = "fp32" if learns_whole else run.training.precision
    model = load_weights(folder, head, dtype=dtype, config=config, quantization=quantization)
    print(f"model: {run.model.name}, {type(model).__name__}, {model.num_parameters():,} parameters")
    return Base(model=model, tokenizer=tokenizer)


def load_weights(
    folder: Path, head: str, *, dtype: str, config: Any = None, quantization: QuantizationSettings | None = None
) -> PreTrainedModel:
    """Load a model folder's weights, quantized if asked."""
    options: dict[str, Any] = {"dtype": DTYPES[dtype], "use_safetensors": True, "trust_remote_code": False}
    if config is not None:
        options["config"] = config
    inside = config is not None and text_part.is_inside(folder, config.model_type)
    if inside:
        options["key_mapping"] = dict(text_part.NAMES)
    if head in heads.NEW_HEADS:
        options["ignore_mismatched_sizes"] = True  # a head for other labels is replaced by a new one
    if quantization is not None:
        options["quantization_config"] = _bitsandbytes(quantization, DTYPES[dtype])
        options["device_map"] = {"": torch.cuda.current_device() if torch.cuda.is_available() else "cpu"}
    try:
        model: PreTrainedModel = KINDS[head].from_pretrained(folder, **options)
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        message = f"transformers has no {head} head for this model; take another model, or another task"
        raise TrainerFailure(FailureReason.INVALID_RUN, message) from error
    if inside:
        model._weight_conversions = None  # noqa: SLF001 - else it is saved under the names that it had inside
    _use_trainable_kernels(model)
    return model


def locate(run: TrainerRun) -> Path:
    """Find the model's folder, where `sources` has brought it.

    Raises:
        TrainerFailure: ModelNotFound.
    """
    environment.go_offline()
    folder = Path(run.model.path or "")
    if not folder.is_dir():
        raise _not_found(f"no model folder {folder}: {_listing(_first_existing(folder))}")
    if not (folder / "config.json").is_file():
        raise _not_found(f"{folder} is not a model: it has no config.json; {_listing(folder)}")
    if not list(folder.glob("*.safetensors")):
        raise _not_found(f"{folder} has no weights as .safetensors, the only kind that is loaded; {_listing(folder)}")
    return folder


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = phi3small.read_tokenizer(folder) or AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise _not_found(f"{folder} has no usable tokenizer: {_first_sentence(error)}; {_listing(folder)}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def _config(folder: Path, run: TrainerRun, head: str, labels: tuple[str, ...]) -> Any:
    """Read the model's config; of a model that also sees, that of its text model, where this can have the head."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, OSError, json.JSONDecodeError) as error:
        message = f"{run.model.name} cannot be loaded: {_first_sentence(error)}"
        raise TrainerFailure(FailureReason.INVALID_RUN, message) from error
    text = config.get_text_config()
    if "text_config" in config.sub_configs and type(text) in KINDS[head]._model_mapping:  # noqa: SLF001 - nothing else tells
        config = text
    if labels:
        config.id2label, config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
    limit = getattr(text, "max_position_embeddings", None)
    if limit and run.training.sequence_length > limit:
        message = (
            f"spec.training.sequenceLength {run.training.sequence_length} is more than {run.model.name} takes: {limit}"
        )
        raise TrainerFailure(FailureReason.INVALID_RUN, message)
    return config


def _bitsandbytes(settings: QuantizationSettings, compute: torch.dtype) -> BitsAndBytesConfig:
    if settings.type == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(heads.LAYERS))
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=settings.type,
        bnb_4bit_use_double_quant=settings.double_quant,
        bnb_4bit_compute_dtype=compute,
        llm_int8_skip_modules=list(heads.LAYERS),
    )


def _use_trainable_kernels(model: PreTrainedModel) -> None:
    """Keep 4-bit layers in the layout that has gradients.

    On CPUs with AVX512-BF16 bitsandbytes repacks them at the first evaluation for a kernel that is for inference
    only; a model measured before training would then pass no gradient to the layers below, and DoRA's norms would be
    those of weights in the wrong order.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _first_existing(folder: Path) -> Path:
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _listing(folder: Path) -> str:
    names = ", ".join(sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))[:10])
    return f"{folder} holds {names or 'nothing'}"


def _first_sentence(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:300]


def _not_found(message: str) -> TrainerFailure:
    return TrainerFailure(FailureReason.MODEL_NOT_FOUND, message)
