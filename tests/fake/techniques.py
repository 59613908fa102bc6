"""What is trained: the whole model, or a PEFT adapter on a frozen or quantized one.

Adapters are PEFT's own, with its defaults except where a case says otherwise. 4-bit weights are imitated, because
bitsandbytes needs real bytes to quantize: a packed byte per two weights, an absmax byte per 64 and an fp32 per 256 of
those (double quantization); the product dequantizes into a fresh weight, forward and again backward, and keeps nothing.

Not here: models (`architectures.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import bitsandbytes
import peft
import peft.tuners.boft.layer as boft
import torch
from architectures import ARCHITECTURES, Architecture
from case import Case
from peft.tuners.lora import dora

BLOCK, BLOCK_OF_BLOCKS = 64, 256
QUANTIZED = ("nf4", "nf4-prepared")
"""Weights in 4 bits; prepared: with PEFT's prepare_model_for_kbit_training, which lifts all other weights to fp32."""

KEPT = ("lm_head", "embed_out", "score", "classifier", "wo")
"""What transformers does not quantize: heads, and T5's second projection, which it keeps in fp32."""


class _FourBitProduct(torch.autograd.Function):
    """A product with a packed weight: its arguments outlive it, its dequantized weight does not."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, layer: Linear4bit) -> torch.Tensor:
        ctx.layer = layer
        return torch.nn.functional.linear(values, layer.dequantized(values.dtype))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.matmul(gradient, ctx.layer.dequantized(gradient.dtype)), None


class Linear4bit(bitsandbytes.nn.Linear4bit):
    """bitsandbytes' layer by type and name, so that PEFT treats it as such."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.compute_dtype = torch.bfloat16
        count = linear.weight.numel()
        self.weight = torch.nn.Parameter(torch.empty(count // 2, 1, dtype=torch.uint8), requires_grad=False)
        self.weight.compress_statistics, self.weight.quant_type = True, "nf4"
        self.register_parameter("bias", linear.bias)
        self.register_buffer("absmax", torch.empty(count // BLOCK, dtype=torch.uint8))
        self.register_buffer("absmax_of_absmax", torch.empty(count // BLOCK // BLOCK_OF_BLOCKS))
        self.register_buffer("codes", torch.empty(256 + 16 + 1))

    def dequantized(self, dtype: torch.dtype) -> torch.Tensor:
        """Make the weight that is packed here; meanwhile the scales are there in fp32."""
        scales = self.absmax.float()
        weight = torch.empty(self.out_features, self.in_features, dtype=dtype, device=self.weight.device)
        del scales
        return weight

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        given = values.dtype
        product = _FourBitProduct.apply(values.to(self.compute_dtype), self)
        if self.bias is not None:
            product = product + self.bias.to(self.compute_dtype)
        return product.to(given)


def quantize(model: torch.nn.Module, *, prepared: bool) -> None:
    """Pack every linear layer except the head."""
    model.requires_grad_(requires_grad=False)
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and name.rpartition(".")[2] not in KEPT:
            parent = model.get_submodule(name.rpartition(".")[0])
            with torch.device("meta"):
                setattr(parent, name.rpartition(".")[2], Linear4bit(module))
    model.is_loaded_in_4bit = True
    if prepared:
        for parameter in model.parameters():
            if parameter.dtype == torch.bfloat16:
                parameter.data = parameter.data.float()


def _lora(architecture: Architecture, case: Case, **options: Any) -> peft.PeftConfig:
    return peft.LoraConfig(r=case.rank, target_modules=targets(architecture, case), **options)


def _dora(architecture: Architecture, case: Case, **options: Any) -> peft.PeftConfig:
    return _lora(architecture, case, use_dora=True, **options)


def _weights(kind: str, **options: Any) -> Callable[..., peft.PeftConfig]:
    """Return what makes a config of a method that changes weights and has a rank under some name."""
    rank_name = options.pop("rank_name", "r")

    def make(architecture: Architecture, case: Case, **more: Any) -> peft.PeftConfig:
        rank = {rank_name: case.rank} if rank_name else {}
        return getattr(peft, kind)(target_modules=targets(architecture, case), **rank, **options, **more)

    return make


def _prompt(kind: str, **options: Any) -> Callable[..., peft.PeftConfig]:
    def make(_architecture: Architecture, case: Case, **more: Any) -> peft.PeftConfig:
        return getattr(peft, kind)(num_virtual_tokens=case.rank, **options, **more)

    return make


def _ia3(architecture: Architecture, case: Case, **more: Any) -> peft.PeftConfig:
    chosen = targets(architecture, case)
    inward = [name for name in chosen if name in {"down_proj", "fc2", "dense_4h_to_h", "wo"}]
    return peft.IA3Config(target_modules=chosen, feedforward_modules=inward, **more)


METHODS: dict[str, Callable[..., peft.PeftConfig]] = {
    "lora": _lora,
    "dora": _dora,
    "qlora": _lora,
    "qdora": _dora,
    "ia3": _ia3,
    "vera": _weights("VeraConfig"),
    "loha": _weights("LoHaConfig"),
    "lokr": _weights("LoKrConfig"),
    "adalora": _weights("AdaLoraConfig", total_step=100, rank_name="init_r"),
    "oft": _weights("OFTConfig", rank_name=None, oft_block_size=32),
    "boft": _weights("BOFTConfig", rank_name=None, boft_block_size=4),
    "fourierft": _weights("FourierFTConfig", rank_name=None, n_frequency=1000),
    "hra": _weights("HRAConfig"),
    "miss": _weights("MissConfig"),
    "randlora": _weights("RandLoraConfig"),
    "ln-tuning": lambda _architecture, _case, **more: peft.LNTuningConfig(**more),
    "prompt-tuning": _prompt("PromptTuningConfig"),
    "p-tuning": _prompt("PromptEncoderConfig", encoder_hidden_size=128),
    "prefix-tuning": _prompt("PrefixTuningConfig"),
}
"""By name, with PEFT's own defaults; the rank is the number of virtual tokens for the methods that have those."""

TASKS = {
    "AutoModelForCausalLM": "CAUSAL_LM",
    "AutoModelForSequenceClassification": "SEQ_CLS",
    "AutoModelForSeq2SeqLM": "SEQ_2_SEQ_LM",
}


def targets(architecture: Architecture, case: Case) -> list[str]:
    """Name the projections that a case adapts."""
    return list(architecture.query_and_value if case.targets == "qv" else architecture.all_linear)


def attach(model: torch.nn.Module, case: Case) -> torch.nn.Module:
    """Make trainable what the case trains."""
    architecture = ARCHITECTURES[case.model]
    if case.quant in QUANTIZED:
        quantize(model, prepared=case.quant == "nf4-prepared")
    if case.method == "full":
        return model
    options: dict[str, Any] = {"task_type": TASKS[architecture.model]}
    if case.targets == "all+embeddings":
        options["modules_to_save"] = list(architecture.embedding_and_head)
    config = METHODS[case.method](architecture, case, **options)
    with torch.device("meta"):
        adapted = peft.get_peft_model(model, config, autocast_adapter_dtype=case.adapter_dtype == "fp32")
    if case.adapter_dtype == "bf16":
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                parameter.data = parameter.data.to(torch.bfloat16)
    return adapted


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Let PEFT run without looking at values: imitated weights, dice for module dropout, BOFT's permutations."""
    random = torch.rand
    changes = [
        (dora, "dequantize_module_weight", dequantize),
        (torch, "rand", lambda *size, **options: 1.0 if size == (1,) else random(*size, **options)),
        (boft.BOFTLayer, "perm2mat", lambda _self, indices: torch.zeros(len(indices), len(indices))),
    ]
    with contextlib.ExitStack() as stack:
        for owner, name, new in changes:
            stack.enter_context(mock.patch.object(owner, name, new))
        yield


def dequantize(module: torch.nn.Module) -> torch.Tensor:
    """Return a layer's weight as DoRA asks for it."""
    return module.dequantized(torch.bfloat16) if isinstance(module, Linear4bit) else module.weight
