"""Counts one fine-tuning step's memory, byte by byte, without the memory: `measure` is the entry.

Two steps of the model's own code run on fake tensors; the second one finds the optimizer's states already there, so its
peak is that of every later step. Typed lines of `name=value` on stdin become rows of a CSV file:

    echo model=llama-3.2-3b method=lora seq=2048 | python tests/fake/measure.py rows.csv

Gradients are kept from each parameter's backward to the optimizer, which is PyTorch's AdamW: one parameter at a time
(`adamw`), fused (`adamw-fused`, transformers' default: it has no temporaries), or all parameters at once
(`adamw-foreach`, what transformers' `adamw_torch` is on a GPU). Gradients are not clipped: a GPU does that in place.

Not here: how bytes are counted (`counting.py`), what a GPU does differently (`gpu.py`).
"""

from __future__ import annotations

import csv
import dataclasses
import fcntl
import sys
import time
import types
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import architectures
import techniques
import torch
import trl.kernels.chunked_logprob as fused_head
from case import COLUMNS, Case, Measured, parse, rows, written
from counting import LiveBytes, Phase
from gpu import held_inside, like_a_gpu
from torch._subclasses.fake_tensor import FakeTensorMode

FUSED_HEAD_OUTPUTS = ("log_probs", "entropy", "is_top1")
"""What TRL's SFTTrainer asks of its head."""

VOCABULARY_TILE = 32768


def measure(case: Case) -> Measured:
    """Run the case."""
    with ExitStack() as stack:
        stack.enter_context(techniques.without_values())
        model = make(case)
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        materialize(model)
        stack.enter_context(torch.device("cpu"))
        stack.enter_context(like_a_gpu())
        prepare(model, case)
        live = LiveBytes(held_inside)
        run(model, case, live)
    return Measured(
        peak_bytes=live.peak,
        params_bytes=live.at_peak[Phase.PARAMETERS],
        activation_bytes_at_peak=live.at_peak[Phase.FORWARD],
        grad_bytes_at_peak=live.at_peak[Phase.GRADIENTS],
        optimizer_bytes_at_peak=live.at_peak[Phase.OPTIMIZER],
        backward_temp_bytes_at_peak=live.at_peak[Phase.BACKWARD],
        peak_forward=live.peak_of[Phase.FORWARD],
        peak_backward=live.peak_of[Phase.BACKWARD],
        peak_optim=live.peak_of[Phase.OPTIMIZER],
        trainable=sum(each.numel() for each in model.parameters() if each.requires_grad),
        total_parameters=sum(each.numel() * (2 if each.dtype == torch.uint8 else 1) for each in model.parameters()),
    )


def make(case: Case) -> torch.nn.Module:
    """Build model and adapter on the meta device."""
    dtype = torch.bfloat16 if case.precision.startswith("bf16") else torch.float32
    model = architectures.build(case.model, dtype=dtype, attention=case.kernel, layers=case.layers or None)
    return techniques.attach(model, case)


def materialize(model: torch.nn.Module) -> None:
    """Replace, in place, every tensor on the meta device by a fake one on the CPU; tied weights stay tied."""
    fakes: dict[int, Any] = {}

    def fake(tensor: torch.Tensor) -> Any:
        if id(tensor) not in fakes:
            empty = torch.empty_like(tensor, device="cpu")
            if isinstance(tensor, torch.nn.Parameter):
                empty = torch.nn.Parameter(empty, requires_grad=tensor.requires_grad)
            fakes[id(tensor)] = (empty, tensor)  # the old one is kept, so that its id stays its own
        return fakes[id(tensor)][0]

    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = fake(tensor)


def prepare(model: torch.nn.Module, case: Case) -> None:
    """Switch on what the case trains with."""
    model.train()
    if case.checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        if case.method != "full":
            model.enable_input_require_grads()
    if case.loss == "fused":
        fuse_head(model.get_base_model() if case.method != "full" else model)


def fuse_head(model: torch.nn.Module) -> None:
    """Give the model TRL's head: everything as in `trl.trainer.utils.add_fused_lm_head` but the choice of positions."""
    capping = getattr(model.config, "final_logit_softcapping", None)

    def forward(self: Any, *args: Any, labels: torch.Tensor, **kwargs: Any) -> Any:
        hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        labels, head = labels[:, 1:], self.get_output_embeddings()
        rows = torch.arange(labels.shape[0]).repeat_interleave(labels.shape[1])
        columns = torch.arange(labels.shape[1]).repeat(labels.shape[0])
        per_token = fused_head.ChunkedLogProbFunction.apply(
            hidden[rows, columns],
            head.weight,
            head.bias,
            labels[rows, columns],
            1.0,
            VOCABULARY_TILE,
            capping,
            1.0,
            FUSED_HEAD_OUTPUTS,
        )
        return types.SimpleNamespace(loss=-per_token[0].sum() / labels.numel())

    model.forward = types.MethodType(forward, model)


def run(model: torch.nn.Module, case: Case, live: LiveBytes) -> None:
    """Take two steps."""
    trained = [each for each in model.parameters() if each.requires_grad]
    kind = {"foreach": case.optimizer == "adamw-foreach", "fused": case.optimizer == "adamw-fused"}
    optimizer = torch.optim.AdamW(trained, lr=1e-4, **kind)
    for tensor in [*model.parameters(), *model.buffers()]:
        live.count(tensor, Phase.PARAMETERS)
    for each in trained:
        each.register_post_accumulate_grad_hook(lambda it: live.move(it.grad, Phase.GRADIENTS))
    batch = inputs(case)
    with live:
        for _step in range(2):
            for _micro_step in range(case.accumulation):
                live.phase = Phase.FORWARD
                loss = forward(model, case, batch)
                live.phase = Phase.BACKWARD
                loss.backward()
                del loss
            live.phase = Phase.OPTIMIZER
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def inputs(case: Case) -> dict[str, torch.Tensor]:
    """Make a batch; a target of a sequence-to-sequence model is as long as its source."""
    tokens = torch.randint(0, 1000, (case.micro_batch, case.seq))
    classes = architectures.ARCHITECTURES[case.model].model == "AutoModelForSequenceClassification"
    batch = {"input_ids": tokens, "labels": torch.randint(0, 2, (case.micro_batch,)) if classes else tokens}
    if case.attention.endswith("-masked"):
        batch["attention_mask"] = torch.ones_like(tokens)
    return batch


def forward(model: torch.nn.Module, case: Case, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the loss; under autocast all outputs are lifted to fp32, as accelerate does."""
    if not case.autocasts:
        return model(**batch).loss
    with autocast(case):
        outputs = model(**batch)
    if getattr(outputs, "logits", None) is not None:
        outputs["logits"] = outputs["logits"].float()
    return outputs.loss


def autocast(case: Case) -> AbstractContextManager[Any]:
    """Return the context in which the forward pass runs."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if case.autocasts else nullcontext()


def main(path: Path) -> None:
    """Append a row for each case on stdin that the file does not have yet."""
    known = [written(case) for case, _measured in rows(path)] if path.exists() else []
    with path.open("a", encoding="utf-8", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not known:
            writer.writeheader()
        for case in parse(sys.stdin):
            if written(case) in known:
                continue
            start = time.monotonic()
            try:
                measured = measure(case)
            except Exception as error:  # noqa: BLE001  # the next case may work
                sys.stderr.write(f"FAILED {case}: {type(error).__name__}: {error}\n")
                continue
            seconds = {"seconds": round(time.monotonic() - start, 1)}
            writer.writerow(written(case) | dataclasses.asdict(measured) | seconds)
            file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
