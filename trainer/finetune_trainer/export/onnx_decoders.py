"""ONNX for language models: onnxruntime-genai's builder writes them with a cache, ready to generate.

The builder runs in a process of its own: what it holds, about four bytes for each parameter twice, goes with it.

Not here: models with other heads (`onnx_heads.py`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finetune_trainer.contract import FailureReason, QuantizationSettings
from finetune_trainer.export import comparison
from finetune_trainer.export.comparison import Answers, Difference
from finetune_trainer.objectives.batches import Batch
from finetune_trainer.process.failures import TrainerFailure

FULL, FOUR_BITS = "fp32", "int4"

BUILDER = """
import runpy
from pathlib import Path
runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__", alter_sys=True)
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""
"""Runs the builder and prints the most memory that it held, in KiB: what the parent could ask counts the parent's."""


def precision(quantization: QuantizationSettings | None) -> str:
    """Choose how weights are stored: in 4 bits where the model was fine-tuned beside 4 bits, else as they are."""
    return FULL if quantization is None or quantization.type == "int8" else FOUR_BITS


def write(source: Path, target: Path, bits: str) -> int:
    """Build the model of a folder, and return the most bytes of memory that took.

    Raises:
        TrainerFailure: HostOutOfMemory or TrainerError.
    """
    cache = target.with_name(f"{target.name}.cache")
    command = [sys.executable, "-I", "-c", BUILDER, "-i", str(source), "-o", str(target)]
    command += ["-p", bits, "-e", "cpu", "-c", str(cache)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(  # noqa: S603 - our own interpreter
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == -signal.SIGKILL:
        message = (
            "output.formats: onnx: the builder was killed, most likely for memory; give the pod more, or set merged"
        )
        raise TrainerFailure(FailureReason.HOST_OUT_OF_MEMORY, message)
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:300]
        raise TrainerFailure(FailureReason.TRAINER_ERROR, f"output.formats: onnx: the builder failed: {told}")
    return int(done.stdout.split()[-1]) * 1024


def check(target: Path, batches: Sequence[Batch], expected: Answers) -> Difference:
    """Run what was built on the same rows."""
    import onnxruntime_genai

    model = onnxruntime_genai.Model(str(target))
    found = []
    for batch in batches:
        tokens = batch["input_ids"][0].tolist()
        settings = onnxruntime_genai.GeneratorParams(model)
        settings.set_search_options(max_length=len(tokens) + 1, do_sample=False)
        generator = onnxruntime_genai.Generator(model, settings)
        generator.append_tokens(tokens)
        found.append(comparison.flat([np.array(generator.get_output("logits"), dtype=np.float32)]))
    return comparison.difference(expected, found)
