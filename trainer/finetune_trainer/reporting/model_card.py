"""The model card: what an artifact is, made from what, how good it is and how to load it, for people and for the hub.

Not here: putting it beside the artifacts (`../export/`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from finetune_trainer.contract import ExitReport, TrainerRun
from finetune_trainer.models import heads, text_part

PIPELINES = {
    "ForCausalLM": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "ForQuestionAnswering": "question-answering",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
}
"""The hub's word for what a model does, by the end of its class's name."""

SEQUENCE_TO_SEQUENCE = "ForConditionalGeneration"

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "bf16-mixed": "bfloat16"}
"""torch's names of the precisions in which frozen weights lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the card tells beside run and report.

    `model_class` is the model's class in transformers, `is_inside` whether it is the text model of one that also sees,
    `data` names the rows and their sha256, `differences` are the largest ones of logits by kind of artifact.
    """

    model_class: str
    is_inside: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)
    differences: Mapping[str, float | None] = field(default_factory=dict)


def model_card(run: TrainerRun, report: ExitReport, facts: Facts) -> str:
    """Write the card as Markdown with the hub's header."""
    parts = [
        f"---\n{yaml.safe_dump(_header(run, report, facts), sort_keys=False, allow_unicode=True)}---",
        f"# {run.job.name}",
        f"{run.model.name}, fine-tuned for {run.task} with {method(run)} by finetune-operator ({_job(run)}).",
        f"## Held-out rows\n\n{_measures(report)}",
        "![Loss by step](loss.png)",
        f"## Training\n\n{_table(('setting', 'value'), _settings(run, report, facts))}",
        *_plan(run),
        f"## Use\n\n{chr(10).join(_use(run, facts))}".rstrip(),
    ]
    return "\n\n".join(parts) + "\n"


def _job(run: TrainerRun) -> str:
    return f"job {run.job.namespace}/{run.job.name}"


def method(run: TrainerRun) -> str:
    """Name the technique as its users do."""
    return run.technique.peft.type if run.technique.peft else run.technique.method


def _header(run: TrainerRun, report: ExitReport, facts: Facts) -> dict[str, Any]:
    pipeline = PIPELINES[_kind(facts)]
    adapted = run.technique.method != "full"
    relation = "adapter" if adapted else "finetune"
    dataset = {"name": facts.data.get("name", "rows"), "type": "private", "revision": facts.data.get("sha256")}
    metrics = [{"type": name, "value": value} for name, value in report.metrics_after.items()]
    header = {
        "base_model": run.model.name,
        "base_model_relation": relation,
        "library_name": "peft" if adapted else "transformers",
        "pipeline_tag": pipeline,
        "tags": [f"base_model:{relation}:{run.model.name}", method(run), run.task, "finetune-operator"],
    }
    if metrics:
        results = [{"task": {"type": pipeline}, "dataset": dataset, "metrics": metrics}]
        header["model-index"] = [{"name": run.job.name, "results": results}]
    return header


def _plan(run: TrainerRun) -> Iterator[str]:
    """Show what was planned and why, unless a person wrote the run."""
    if run.choices:
        rows = [(f"`{each.name}`", each.value, each.reason) for each in run.choices]
        yield f"## Plan\n\n{_table(('choice', 'value', 'why'), rows)}"


def _kind(facts: Facts) -> str:
    return next(end for end in PIPELINES if facts.model_class.endswith(end))


def _measures(report: ExitReport) -> str:
    before, after = report.metrics_before, report.metrics_after
    rows = [(name, before.get(name, "-"), after[name], _change(before.get(name), after[name])) for name in after]
    return _table(("metric", "before", "after", "change"), rows)


def _change(before: float | None, after: float) -> str:
    return "-" if before is None else f"{after - before:+.4g}"


def _settings(run: TrainerRun, report: ExitReport, facts: Facts) -> list[tuple[str, Any]]:
    training, lora, bits = run.training, run.technique.lora, run.technique.quantization
    options = (
        ", ".join(f"{name}={value}" for name, value in run.technique.peft.options.items()) if run.technique.peft else ""
    )
    learnt, total = report.trainable_parameters or 0, report.total_parameters or 0
    rows = report.dataset
    found = [
        ("task", run.task),
        ("base model", f"{run.model.name}{f' at {run.model.revision}' if run.model.revision else ''}"),
        ("method", method(run)),
        ("rank, alpha, dropout", f"{lora.rank}, {lora.alpha:g}, {lora.dropout:g}" if lora else None),
        ("start of the adapter", lora.variant if lora and lora.variant != "lora" else None),
        ("options", options or None),
        ("base weights", bits.type if bits else training.precision),
        ("trained parameters", f"{learnt:,} of {total:,} ({learnt / max(total, 1):.2%})"),
        ("steps", report.step),
        ("rows per step", training.micro_batch_size * training.gradient_accumulation_steps),
        (
            "learning rate",
            f"{training.learning_rate:g}, {training.scheduler}, {training.warmup_steps} steps of warm-up",
        ),
        ("optimizer", training.optimizer),
        ("sequence length", training.sequence_length),
        ("trained tokens", f"{report.trained_tokens:,}" if report.trained_tokens else None),
        ("rows", f"{rows.training_rows:,} learnt, {rows.held_out_rows:,} held out" if rows else None),
        ("sha256 of the rows", facts.data.get("sha256")),
        ("peak memory", f"{report.peak_memory_bytes / 2**30:.2f} GiB" if report.peak_memory_bytes else None),
        ("time of training", f"{report.train_seconds:,.0f} s" if report.train_seconds is not None else None),
        ("seed", training.seed),
    ]
    return [(name, value) for name, value in found if value is not None]


def _use(run: TrainerRun, facts: Facts) -> Iterator[str]:
    """Show how each artifact is loaded, and how far its answers are from those that were measured."""
    kind = "ForSeq2SeqLM" if _kind(facts) == SEQUENCE_TO_SEQUENCE else _kind(facts)
    options = ", num_labels=NUMBER_OF_LABELS" if kind in {"ForSequenceClassification", "ForTokenClassification"} else ""
    options += ", config=config, key_mapping=names" * facts.is_inside
    sections = {
        "adapter": ("the adapter, with PEFT", _INSIDE * facts.is_inside + _adapter(run)),
        "merged": ("the whole model, with transformers", _WHOLE),
        "onnx": ("ONNX Runtime", _GENERATES if kind == "ForCausalLM" else _DECIDES),
    }
    for name, largest in facts.differences.items():
        title, code = sections[name]
        folder = "model" if name == "merged" and "merged" not in run.output.formats else name
        yield f"`{folder}/`: {title}{_distance(run, name, largest)}\n"
        yield (
            "```python\n"
            + code.format(
                auto=f"AutoModel{kind}",
                base=run.model.name,
                folder=folder,
                options=options,
                names=json.dumps(dict(text_part.NAMES)),
                **_stored(run),
            )
            + "```\n"
        )


def _adapter(run: TrainerRun) -> str:
    """Load the base as it lay beside the adapter in training, where that was in fewer bits.

    On CPUs with AVX512-BF16, bitsandbytes (0.50) repacks 4-bit weights at the first evaluation for a kernel of its
    own, and goes on to dequantize them as if it had not. DoRA divides by the norms of those rows.
    """
    bits = run.technique.quantization
    if bits is None:
        return _BASE + _ADAPTER
    if bits.type == "int8":
        return _EIGHT_BITS + _QUANTIZED_BASE + _ADAPTER
    return _FOUR_BITS + _QUANTIZED_BASE + (run.technique.method == "qdora") * _NOT_REPACKED + _ADAPTER


def _stored(run: TrainerRun) -> dict[str, Any]:
    """Name how frozen weights lie, for the code above."""
    bits = run.technique.quantization
    return {
        "bits": bits.type if bits else None,
        "twice": bits.double_quant if bits else None,
        "dtype": DTYPES[run.training.precision],
        "heads": json.dumps(heads.LAYERS),
    }


def _distance(run: TrainerRun, name: str, largest: float | None) -> str:
    if largest is None:
        return "."
    bits = run.technique.quantization
    told = f". On held-out rows its logits differ by at most {largest:.2g} from those of the model "
    if name == "merged" and bits:
        return f"{told}measured above: its adapter learnt beside {bits.type} weights and was added to unquantized ones."
    return told + ("with the adapter beside it." if name == "merged" else "in torch.")


def _table(names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> str:
    lines = [names, ("---",) * len(names), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


_INSIDE = """\
from transformers import AutoConfig

config = AutoConfig.from_pretrained("{base}").get_text_config()  # the adapter is of its text model alone
names = {names}
"""

_BASE = """\
from peft import PeftModel
from transformers import {auto}, AutoTokenizer

base = {auto}.from_pretrained("{base}"{options})
"""

_FOUR_BITS = """\
import torch
from peft import PeftModel
from transformers import {auto}, AutoTokenizer, BitsAndBytesConfig

stored = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="{bits}",
    bnb_4bit_use_double_quant={twice},
    bnb_4bit_compute_dtype=torch.{dtype},
    llm_int8_skip_modules={heads},
)
dtype = torch.{dtype}
"""

_EIGHT_BITS = """\
import torch
from peft import PeftModel
from transformers import {auto}, AutoTokenizer, BitsAndBytesConfig

stored = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules={heads})
dtype = torch.{dtype}
"""

_QUANTIZED_BASE = """\
device = {{"": "cuda" if torch.cuda.is_available() else "cpu"}}
base = {auto}.from_pretrained("{base}"{options}, quantization_config=stored, dtype=dtype, device_map=device)
"""

_NOT_REPACKED = """\
for layer in base.modules():
    layer.support_avx512bf16_for_cpu = False  # else bitsandbytes repacks weights whose norms DoRA then misreads
"""

_ADAPTER = """\
model = PeftModel.from_pretrained(base, "{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")
"""

_WHOLE = """\
from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")
"""

_GENERATES = """\
import onnxruntime_genai

model = onnxruntime_genai.Model("{folder}")
tokenizer = onnxruntime_genai.Tokenizer(model)
settings = onnxruntime_genai.GeneratorParams(model)
settings.set_search_options(max_length=100)
generator = onnxruntime_genai.Generator(model, settings)
generator.append_tokens(tokenizer.encode("Hello"))
while not generator.is_done():
    generator.generate_next_token()
print(tokenizer.decode(generator.get_sequence(0)))
"""

_DECIDES = """\
import onnxruntime
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{folder}")
session = onnxruntime.InferenceSession("{folder}/model.onnx")
inputs = tokenizer("Hello", return_tensors="np")
print(session.run(None, {{each.name: inputs[each.name] for each in session.get_inputs()}}))
"""
