"""Language modelling: the next token of plain text, or of the assistant's turns of a conversation.

A question with its context, or a sentence to translate, is a conversation of two turns.

Loss is counted on answers only where the chat template can mark them, else on the last answer.

Not here: checking conversations (`data/rows.py`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset, disable_progress_bars
from trl import SFTConfig, SFTTrainer
from trl.chat_template_utils import get_training_chat_template

from finetune_trainer.data.lengths import Lengths, summed
from finetune_trainer.data.library_rows import LibraryRows, row_lengths, sides
from finetune_trainer.data.rows import Example, as_conversation
from finetune_trainer.data.token_store import Row
from finetune_trainer.objectives import measures, scores
from finetune_trainer.objectives.arguments import (
    Ingredients,
    arguments,
    by_length,
    learn_in_fp32,
    make_arguments,
    prepare,
    tell_lost,
)
from finetune_trainer.objectives.writing import Question, questions, write

COLUMNS = ("input_ids", "labels")
GENERATION_TAG = re.compile(r"{%-?\s*generation\b")


class LanguageTrainer(measures.MeasuresMore, measures.MeansOverTokens, SFTTrainer):  # type: ignore[misc]
    """TRL's trainer, whose evaluation also lets the model write, where a metric needs that, and whose rows are kept."""

    def __init__(
        self,
        *arguments: Any,
        wanted: Sequence[str],
        asked: Sequence[Question],
        sides: Mapping[str, LibraryRows],
        **more: Any,
    ) -> None:
        self._sides = sides
        super().__init__(*arguments, **more)
        self._wanted, self._asked = wanted, asked

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, *how: Any) -> Any:
        """Let TRL make a side's tokens, once in the life of a job."""
        make, (packing, formatting, name) = super()._prepare_dataset, how
        if name not in self._sides:
            return make(dataset, processing_class, args, *how)

        def prepared(rows: Dataset) -> tuple[Dataset, Lengths]:
            uncut = copy.copy(args)
            uncut.max_length = None
            whole = make(rows, processing_class, uncut, False, formatting, name).select_columns(list(COLUMNS))
            kept = make(whole, processing_class, args, packing, formatting, name)
            lost = 0 if packing else len(whole) - len(kept)
            return kept, summed(row_lengths(whole, COLUMNS[0]), args.max_length, unlearnable=lost)

        return self._sides[name].obtain(prepared)

    def of_tokens(self, outputs: Any, _labels: Any) -> tuple[Any, ...]:
        """Return what TRL's head has found out about each token."""
        return outputs.label_mask, -outputs.log_probs, outputs.is_top1

    def more(self, loss: float) -> dict[str, float]:
        """Return what is wanted beside the loss."""
        found = {"perplexity": measures.perplexity(loss), "accuracy": self.means[1]}
        if self._asked:
            answers = [each.answer for each in self._asked]
            found |= scores.texts(answers, self._written(), self._wanted)
        return measures.only(self._wanted, found)

    def _written(self) -> list[str]:
        def pause() -> None:
            self.callback_handler.on_prediction_step(self.args, self.state, self.control)

        batch = self.args.per_device_eval_batch_size
        return write(self.model, self.processing_class, self._asked, batch=batch, between=pause)


def build(ingredients: Ingredients) -> LanguageTrainer:
    """Make the trainer; TRL tokenizes, masks and cuts the rows."""
    disable_progress_bars()
    run, data, tokenizer = ingredients.run, ingredients.data, ingredients.tokenizer
    held_out = [as_conversation(example) for example in by_length(data.validation)]
    conversational = "messages" in held_out[0]
    wanted = measures.chosen(run, "sft")
    writes = conversational and not set(wanted) <= measures.NOT_WRITTEN
    masked = conversational and _marks_answers(tokenizer)
    values = arguments(run) | {
        "max_length": run.training.sequence_length,
        "packing": run.training.packing,
        "packing_strategy": "wrapped",  # TRL's default needs flash attention to keep documents apart
        "eval_packing": False,  # held-out rows are measured one by one, whatever the training does
        "assistant_only_loss": masked,
        "dataset_num_proc": None,
    }

    def shape(example: Example) -> Row:
        return _row(as_conversation(example), tokenizer, masked=masked)

    packing = run.training.packing
    both = sides(prepare(ingredients), data, held_out, shape, masked=masked, packing=packing)
    trainer = LanguageTrainer(
        model=ingredients.model,
        args=make_arguments(SFTConfig, values),
        train_dataset=both["train"].sample(),
        eval_dataset=both["eval"].sample(),
        processing_class=tokenizer,
        sides=both,
        wanted=wanted,
        asked=questions(held_out, tokenizer, run.training.sequence_length) if writes else (),
    )
    learn_in_fp32(trainer.model)
    tell_lost(len(data.validation), len(trainer.eval_dataset), run.training.sequence_length)
    return trainer


def _marks_answers(tokenizer: Any) -> bool:
    template = tokenizer.chat_template
    if not isinstance(template, str):
        return False
    if GENERATION_TAG.search(template):
        return True
    try:
        get_training_chat_template(tokenizer)
    except ValueError:
        print("the chat template does not mark answers: only the last answer of each conversation is learnt")
        return False
    return True


def _row(example: Example, tokenizer: Any, *, masked: bool) -> Row:
    if masked or "text" in example:
        return example
    before, answer = example["messages"][:-1], example["messages"][-1]
    if tokenizer.chat_template:
        return {"prompt": before, "completion": [answer]}
    # Without a template there are no markers either: turns are paragraphs.
    return {"prompt": "".join(turn["content"] + "\n\n" for turn in before), "completion": answer["content"]}
