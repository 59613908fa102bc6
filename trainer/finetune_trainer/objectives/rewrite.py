"""Rewriting: an encoder-decoder reads one text and writes another: a translation, an answer, what an instruction asks.

Held-out texts are really written, greedily, and compared with the true ones.

Not here: models that continue one text (`sft.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments

from finetune_trainer.data.prepared import LENGTH, whole_length
from finetune_trainer.data.rows import Example, as_conversation
from finetune_trainer.data.token_store import Row
from finetune_trainer.objectives import measures, scores
from finetune_trainer.objectives.arguments import Ingredients, arguments, averaging, by_length, make_arguments, prepare
from finetune_trainer.objectives.batches import NO_LABEL


class RewritingTrainer(measures.MeasuresMore, measures.MeansOverTokens, Seq2SeqTrainer):  # type: ignore[misc]
    """The library's trainer, which also gives the perplexity if that is wanted."""

    def __init__(self, *arguments: Any, wanted: Sequence[str], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._wanted = wanted

    def of_tokens(self, outputs: Any, labels: Any) -> tuple[Any, ...]:
        """Compare with the labels, which stand behind the scores of learnt prompts."""
        guesses = outputs.logits[:, -labels.shape[1] :].float().transpose(1, 2)
        return labels != NO_LABEL, torch.nn.functional.cross_entropy(guesses, labels, reduction="none")

    def more(self, loss: float) -> dict[str, float]:
        """Return the perplexity."""
        return measures.only(self._wanted, {"perplexity": measures.perplexity(loss)})


def build(ingredients: Ingredients) -> RewritingTrainer:
    """Tokenize both sides and make the trainer."""
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    length, examples = run.training.sequence_length, by_length(data.validation)
    held_out = [_sides(each) for each in examples]
    wanted = measures.chosen(run, "rewrite")
    writes = bool(set(wanted) & set(measures.OF_TEXTS))
    tokens = prepare(ingredients)

    def make(examples: Sequence[Example]) -> Iterator[Row]:
        return _tokenized([_sides(each) for each in examples], tokenizer, length)

    rows = tokens.training(make)
    values = arguments(run) | {
        "predict_with_generate": writes,
        "generation_max_length": rows.longest("labels") + 1,
        "generation_num_beams": 1,
    }

    def measure(prediction: Any) -> dict[str, float]:
        tokens = np.where(prediction.predictions < 0, tokenizer.pad_token_id, prediction.predictions)
        written = [text.strip() for text in tokenizer.batch_decode(tokens, skip_special_tokens=True)]
        # Several processes share out whole batches: the last ones are filled with rows from the beginning.
        return scores.texts([target for _source, target in held_out], written[: len(held_out)], wanted)

    return averaging(
        RewritingTrainer(
            model=ingredients.model,
            args=make_arguments(Seq2SeqTrainingArguments, values),
            train_dataset=rows,
            eval_dataset=tokens.held_out(examples, make),
            data_collator=DataCollatorForSeq2Seq(tokenizer, model=ingredients.model),
            processing_class=tokenizer,
            compute_metrics=measure if writes else None,
            wanted=wanted,
        )
    )


def _sides(example: Example) -> tuple[str, str]:
    """Take what is read and what is to be written; earlier turns of a conversation are paragraphs."""
    *before, last = (turn["content"] for turn in as_conversation(example)["messages"])
    return "\n\n".join(before), last


def _tokenized(pairs: Sequence[tuple[str, str]], tokenizer: Any, length: int) -> Iterator[Row]:
    read = tokenizer([source for source, _target in pairs], truncation=True, max_length=length)
    write = tokenizer(text_target=[target for _source, target in pairs], truncation=True, max_length=length)
    for (source, target), ids, mask, labels in zip(
        pairs, read["input_ids"], read["attention_mask"], write["input_ids"], strict=True
    ):
        sides = ((ids, source), (labels, target))
        whole = max(whole_length(len(cut), length, tokenizer, text) for cut, text in sides)
        labels_ended = _ended(labels, tokenizer.eos_token_id, length)
        yield {"input_ids": ids, "attention_mask": mask, "labels": labels_ended, LENGTH: whole}


def _ended(labels: list[int], end: int, length: int) -> list[int]:
    """Teach the model to stop, also where its tokenizer does not put an end to texts."""
    return labels if labels and labels[-1] == end else [*labels[: length - 1], end]
