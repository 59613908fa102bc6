"""Answers that a language model writes to held-out questions, greedily, to compare them with the true ones.

Writing is slow, so it is bounded: ROWS rows spread over the held-out ones, and TOKENS tokens each.

Not here: comparing (`scores.py`), encoder-decoders, whose library writes for itself (`rewrite.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from finetune_trainer.data.rows import Example

ROWS, TOKENS = 64, 64

ENDS = ("<|end|>", "<|eot_id|>", "<|im_end|>", "<|endoftext|>", "<end_of_turn>", "</s>")
"""What ends an answer in common chat templates, beside what the model itself calls its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The tokens that a model continues, and the answer that it should write."""

    tokens: tuple[int, ...]
    answer: str


def questions(examples: Sequence[Example], tokenizer: Any, length: int) -> tuple[Question, ...]:
    """Take the last answers of conversations spread over the held-out ones; of a long prompt the end is read."""
    every = -(-len(examples) // ROWS)
    return tuple(
        Question(
            tokens=tuple(_prompt(each["messages"][:-1], tokenizer)[-length:]), answer=each["messages"][-1]["content"]
        )
        for each in examples[::every]
    )


def write(
    model: Any, tokenizer: Any, asked: Sequence[Question], *, batch: int, between: Callable[[], Any]
) -> list[str]:
    """Let the model answer, `batch` questions at once; `between` is called before each batch."""
    was_training = model.training
    model.eval()
    ends = sorted(_ends(model, tokenizer))
    most = min(TOKENS, 1 + max(len(tokenizer(each.answer)["input_ids"]) for each in asked))
    written = []
    for first in range(0, len(asked), batch):
        between()
        read = _padded([each.tokens for each in asked[first : first + batch]], ends[0], model.device)
        with torch.no_grad():
            found = model.generate(
                **read, max_new_tokens=most, do_sample=False, eos_token_id=ends, pad_token_id=ends[0], use_cache=True
            )
        start = 0 if found.shape[1] <= most else read["input_ids"].shape[1]
        written += tokenizer.batch_decode(found[:, start:], skip_special_tokens=True)
    model.train(was_training)
    return [text.strip() for text in written]


def _prompt(messages: Sequence[dict[str, str]], tokenizer: Any) -> list[int]:
    if tokenizer.chat_template:
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    return list(tokenizer("".join(turn["content"] + "\n\n" for turn in messages))["input_ids"])


def _ends(model: Any, tokenizer: Any) -> set[int]:
    own = model.generation_config.eos_token_id
    known = tokenizer.get_vocab()
    ends = {known[word] for word in ENDS if word in known} | set(own if isinstance(own, list) else [own])
    return {end for end in (*ends, tokenizer.eos_token_id) if end is not None} or {tokenizer.pad_token_id}


def _padded(rows: Sequence[Sequence[int]], pad: int, device: Any) -> dict[str, torch.Tensor]:
    """Fill up in front, so that all rows are continued at the same place."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return {"input_ids": ids, "attention_mask": mask}
