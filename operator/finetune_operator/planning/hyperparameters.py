"""Values for what the user left open in the training loop, each with its reason.

Not here: what depends on memory (`planning.search`).
"""

from __future__ import annotations

from finetune_operator.api.v1alpha1.dataset import TokenHistogram
from finetune_operator.api.v1alpha1.spec import Task
from finetune_operator.api.v1alpha1.technique import Lora, Method, Peft, PeftType
from finetune_operator.api.v1alpha1.training import Precision
from finetune_operator.planning.catalog import ModelShape
from finetune_operator.planning.machines import Machine

FULL_RATE = 5e-5
ADAPTER_RATE = 1e-3
"""LoRA learns best about ten times above full fine-tuning (Thinking Machines, "LoRA Without Regret")."""

SLOW_RATE = 1e-2
"""Adapters of a few vectors or tokens move little a step (IA3, arXiv 2205.05638; prompt tuning, arXiv 2104.08691)."""

VECTORS = frozenset(
    {
        PeftType.IA3,
        PeftType.VERA,
        PeftType.PROMPT_TUNING,
        PeftType.PREFIX_TUNING,
        PeftType.P_TUNING,
        PeftType.LN_TUNING,
        PeftType.VBLORA,
        PeftType.FOURIERFT,
        PeftType.TRAINABLE_TOKENS,
        PeftType.ROAD,
    }
)

PRODUCTS = frozenset({PeftType.ADALORA, PeftType.LOHA, PeftType.LOKR, PeftType.HIRA})
"""Adapters whose update is a product with a small factor more than LoRA's.

Measured on 60 steps of the chat sample, tiny-phi3, held-out loss from 5.781, to 5.159 with LoRA at 1e-3: these reached
5.754, 5.728, 5.732, 5.735 at 1e-3, and 5.289, 5.264, 5.382, 5.416 at 1e-2. Not among them: RandLoRA learnt at 1e-3
(5.299) and diverged at 1e-2 (6.849), WaveFT was better at 1e-3 (5.256 against 5.515).
"""

CIRCULANT_RATE = 5e-2
"""C3A, one row for each block, measured as above: 5.778 at 1e-3, 5.747 at 1e-2, 5.641 at 5e-2, 5.506 at 2e-1."""

AUTOMATIC_PEFT = Peft(type=PeftType.IA3)
"""The adapter of method `auto` where few parameters are the goal."""

DEFAULT_RANK = 8
ALPHA_PER_RANK = 2
CLASSIFICATION_LENGTH = 128
GENERATION_LENGTH = 512
LENGTH_STEP = 64
"""Lengths that follow from data are multiples of this: matrices of such sizes compute fastest."""

SHORT_TASKS = frozenset({Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.TRANSLATION})


def learning_rate(method: Method, peft: Peft | None) -> tuple[float, str]:
    """Return the peak learning rate of a method, and why."""
    if method is Method.FULL:
        return FULL_RATE, "every weight moves, so the usual small rate"
    kind = (peft or AUTOMATIC_PEFT).type if method is Method.PEFT else None
    if kind in VECTORS:
        return SLOW_RATE, "a few vectors have to move further than whole matrices"
    if kind is PeftType.C3A:
        return CIRCULANT_RATE, "c3a learns one row of each block, which has to move furthest"
    if kind in PRODUCTS:
        return SLOW_RATE, f"{kind.value} moves less a step than lora"
    return ADAPTER_RATE, "adapters start at zero and need a larger rate than whole models"


def sequence_length(task: Task, shape: ModelShape, tokens: TokenHistogram | None) -> tuple[int, str]:
    """Return the length at which rows are cut, in tokens, and why."""
    usual = CLASSIFICATION_LENGTH if task in SHORT_TASKS else GENERATION_LENGTH
    why = f"usual for {task.value}; longer rows are cut"
    if tokens is not None:
        usual = -(-tokens.p95 // LENGTH_STEP) * LENGTH_STEP
        why = f"95 % of the rows have at most {tokens.p95} tokens; longer ones are cut"
    if shape.max_positions < usual:
        return shape.max_positions, f"the model reads {shape.max_positions} tokens at most"
    return usual, why


def precisions(machine: Machine, method: Method) -> tuple[Precision, ...]:
    """Return the number formats to try, best first; the last one needs least memory."""
    if machine.is_cpu:
        return (Precision.FP32,)
    if not machine.accelerator.bf16:
        return (Precision.FP16,)
    return (Precision.BF16_MIXED, Precision.BF16) if method is Method.FULL else (Precision.BF16,)


def precision_reason(precision: Precision, machine: Machine, method: Method) -> str:
    """Say why a number format was chosen."""
    if precision is Precision.FP32:
        return "bf16 is slow on processors without instructions for it"
    if precision is Precision.FP16:
        return f"{machine.accelerator.name} has no bf16; weights that learn stay in fp32"
    if precision is Precision.BF16_MIXED:
        return "computes in bf16; weights that learn stay in fp32, so that small steps are not rounded away"
    if method is Method.FULL and not machine.is_cpu:
        return "with weights in fp32 it does not fit; in bf16 small steps may be rounded away"
    return "these processors compute bf16 natively" if machine.is_cpu else "half of fp32's memory and the fastest here"


def rank(lora: Lora | None) -> int:
    """Return the rank of the adapter."""
    return lora.rank if lora and lora.rank else DEFAULT_RANK


def alpha(lora: Lora | None) -> int:
    """Return the scale of the adapter."""
    return lora.alpha if lora and lora.alpha else ALPHA_PER_RANK * rank(lora)
