"""Rewriting: an encoder-decoder reads one text and writes another: a translation, an answer, what an instruction asks.

Held-out texts are really written, greedily, and compared with the true ones.

Not here: models that continue one text (`sft.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sacrebleu
from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments

from finetune_trainer.data.rows import Example, as_conversation
from finetune_trainer.objectives import scores
from finetune_trainer.objectives.arguments import Ingredients, arguments, by_length, make_arguments, tell_cut

NAMES = {"bleu": "bleu", "chrf": "chrf", "exactMatch": "exact-match", "f1": "f1", "loss": "loss"}


def build(ingredients: Ingredients) -> Seq2SeqTrainer:
    """Tokenize both sides and make the trainer."""
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    length, held_out = run.training.sequence_length, [_sides(each) for each in by_length(data.validation)]
    rows = _tokenized([_sides(each) for each in data.training], tokenizer, length)
    tell_cut(sum(max(len(row["input_ids"]), len(row["labels"])) >= length for row in rows), len(rows), length)
    measured = _tokenized(held_out, tokenizer, length)
    values = arguments(run) | {
        "predict_with_generate": True,
        "generation_max_length": max(len(row["labels"]) for row in rows) + 1,
        "generation_num_beams": 1,
    }

    def measure(prediction: Any) -> dict[str, float]:
        tokens = np.where(prediction.predictions < 0, tokenizer.pad_token_id, prediction.predictions)
        written = [text.strip() for text in tokenizer.batch_decode(tokens, skip_special_tokens=True)]
        return _scores(run.task, [target for _source, target in held_out], written)

    return Seq2SeqTrainer(
        model=ingredients.model,
        args=make_arguments(Seq2SeqTrainingArguments, values),
        train_dataset=rows,
        eval_dataset=measured,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=ingredients.model),
        processing_class=tokenizer,
        compute_metrics=measure,
    )


def metrics(raw: Mapping[str, float]) -> dict[str, float]:
    """Name the evaluation's numbers as the report does."""
    return {shown: round(raw[f"eval_{name}"], 4) for name, shown in NAMES.items() if f"eval_{name}" in raw}


def _scores(task: str, truth: list[str], written: list[str]) -> dict[str, float]:
    if task == "question-answering":
        return scores.answers(truth, written)
    return {
        "chrf": float(sacrebleu.corpus_chrf(written, [truth]).score),
        "bleu": float(sacrebleu.corpus_bleu(written, [truth]).score),
    }


def _sides(example: Example) -> tuple[str, str]:
    """Take what is read and what is to be written; earlier turns of a conversation are paragraphs."""
    *before, last = (turn["content"] for turn in as_conversation(example)["messages"])
    return "\n\n".join(before), last


def _tokenized(pairs: Sequence[tuple[str, str]], tokenizer: Any, length: int) -> list[dict[str, Any]]:
    read = tokenizer([source for source, _target in pairs], truncation=True, max_length=length)
    write = tokenizer(text_target=[target for _source, target in pairs], truncation=True, max_length=length)
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": _ended(labels, tokenizer.eos_token_id, length)}
        for ids, mask, labels in zip(read["input_ids"], read["attention_mask"], write["input_ids"], strict=True)
    ]


def _ended(labels: list[int], end: int, length: int) -> list[int]:
    """Teach the model to stop, also where its tokenizer does not put an end to texts."""
    return labels if labels and labels[-1] == end else [*labels[: length - 1], end]
