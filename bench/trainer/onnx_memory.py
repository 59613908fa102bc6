# ruff: noqa: INP001, T201, S603
"""Measure the memory that writing a language model for ONNX Runtime takes, for the planner's model.

    python bench/trainer/onnx_memory.py SAMPLES_DIR [case ...]

Each case is one step of the real recipe with a Phi-3 of random weights, whose size is all that counts here. Figures in
MiB: the peak of the builder's process, what the trainer's process holds beside it, and the most that both held together
at any time of the run, which is what the pod's limit is for. What processes share is counted once (PSS).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import memory

ROWS = 20
INTERVAL_SECONDS = 0.2
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Numbers of a Phi-3."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    vocabulary: int


SHAPES = {
    "tiny": Shape(hidden=192, intermediate=512, layers=4, heads=6, vocabulary=2048),
    "deep": Shape(hidden=640, intermediate=1728, layers=12, heads=10, vocabulary=2048),
    "wide-vocabulary": Shape(hidden=768, intermediate=2048, layers=12, heads=12, vocabulary=32064),
    "large": Shape(hidden=1024, intermediate=2816, layers=24, heads=16, vocabulary=2048),
}
METHODS = {"fp32": "lora", "int4": "qlora"}


def main() -> None:
    """Run the cases and print a row for each as it comes."""
    samples, wanted = Path(sys.argv[1]), sys.argv[2:]
    print("shape,hidden,intermediate,layers,heads,vocabulary,bits,builder_mib,beside_mib,together_mib,training_mib")
    for name, shape in SHAPES.items():
        for bits in METHODS:
            if not wanted or any(word in f"{name}/{bits}" for word in wanted):
                print(f"{name},{_measured(shape, bits, samples)}", flush=True)


def _measured(shape: Shape, bits: str, samples: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        _make(shape, samples / "models" / memory.PHI3, model)
        case = memory.Case(model=memory.PHI3, task="chat", method=METHODS[bits], batch=1, length=64)
        run: dict[str, Any] = memory.run_of(case, samples, Path(folder))
        run["model"]["path"] = str(model)
        run["training"]["maxSteps"] = 1
        rows = Path(run["dataset"]["path"])
        rows.write_text("".join(rows.read_text(encoding="utf-8").splitlines(keepends=True)[:ROWS]), encoding="utf-8")
        run["output"]["formats"] = ["onnx"]
        run["evaluation"]["baseline"] = False
        file = Path(folder) / "run.json"
        file.write_text(json.dumps(run), encoding="utf-8")
        before, beside, together = _watched([sys.executable, "-W", "ignore", "-m", "finetune_trainer", str(file)])
        report = json.loads((Path(folder) / "output" / "report.json").read_text(encoding="utf-8"))
    builder = report["onnxBuilderPeakMemoryBytes"]
    sizes = (shape.hidden, shape.intermediate, shape.layers, shape.heads, shape.vocabulary)
    found = (round(each / MIB) for each in (builder, beside, together, before))
    return ",".join(map(str, (*sizes, bits, *found)))


def _make(shape: Shape, like: Path, folder: Path) -> None:
    script = (
        "import sys; from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer\n"
        "like, folder, hidden, intermediate, layers, heads, vocabulary = sys.argv[1:]\n"
        "config = AutoConfig.from_pretrained(like, hidden_size=int(hidden), intermediate_size=int(intermediate),\n"
        "    num_hidden_layers=int(layers), num_attention_heads=int(heads), num_key_value_heads=int(heads),\n"
        "    vocab_size=int(vocabulary))\n"
        "AutoModelForCausalLM.from_config(config).save_pretrained(folder)\n"
        "AutoTokenizer.from_pretrained(like).save_pretrained(folder)\n"
    )
    numbers = (shape.hidden, shape.intermediate, shape.layers, shape.heads, shape.vocabulary)
    command = [sys.executable, "-W", "ignore", "-c", script, str(like), str(folder), *map(str, numbers)]
    subprocess.run(command, check=True, capture_output=True)


def _watched(command: list[str]) -> tuple[int, int, int]:
    """Run a command; return its peak before it had a child, the most it held beside that child, and the joint peak."""
    alone = together = 0
    beside: list[int] = []
    environment = {**os.environ, "PYTHONPATH": str(memory.TRAINER)}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT)
        while process.poll() is None:
            own, children = _pss(process.pid), [_pss(child) for child in _children(process.pid)]
            together = max(together, own + sum(children))
            if sum(children) > 64 * MIB:
                beside.append(own)
            elif not beside:
                alone = max(alone, own)
            time.sleep(INTERVAL_SECONDS)
        if process.returncode:
            said.seek(0)
            raise SystemExit(said.read()[-2000:])
    return alone, max(beside), together


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(each) for each in text.split()]


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
