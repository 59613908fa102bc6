"""The model card: what an artifact is, made from what, and how good it is, for people and for the hub.

Not here: writing it (`../export.py`).
"""

from __future__ import annotations

from finetune_trainer.contract import ExitReport, TrainerRun


def model_card(run: TrainerRun, report: ExitReport) -> str:
    """Write the card as Markdown with the hub's header."""
    training, lora, bits = run.technique.method, run.technique.lora, run.technique.quantization
    settings = [
        ("task", run.task),
        ("base model", run.model.name),
        ("method", training),
        ("rank, alpha, dropout", f"{lora.rank}, {lora.alpha:g}, {lora.dropout:g}" if lora else None),
        ("base weights", bits.type if bits else run.training.precision),
        ("steps", report.step),
        ("rows per step", run.training.micro_batch_size * run.training.gradient_accumulation_steps),
        ("learning rate", f"{run.training.learning_rate:g}, {run.training.scheduler}"),
        ("sequence length", run.training.sequence_length),
        ("trained parameters", f"{report.trainable_parameters:,} of {report.total_parameters:,}"),
        ("trained tokens", report.trained_tokens),
        ("seed", run.training.seed),
    ]
    rows = "".join(f"| {name} | {value} |\n" for name, value in settings if value is not None)
    library = "transformers" if run.technique.method == "full" else "peft"
    header = f"base_model: {run.model.name}\nlibrary_name: {library}\ntags: [{run.technique.method}, {run.task}]"
    return (
        f"---\n{header}\n---\n\n"
        f"# {run.job.name}\n\nFine-tuned by finetune-operator (job {run.job.namespace}/{run.job.name}).\n\n"
        f"| setting | value |\n| --- | --- |\n{rows}\n"
        f"## Held-out rows\n\n{_metrics(report)}"
    )


def _metrics(report: ExitReport) -> str:
    names = list(report.metrics_after)
    lines = "".join(
        f"| {name} | {report.metrics_before.get(name, '-')} | {report.metrics_after[name]} |\n" for name in names
    )
    return f"| metric | before | after |\n| --- | --- | --- |\n{lines}"
