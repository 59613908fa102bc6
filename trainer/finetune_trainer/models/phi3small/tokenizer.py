"""Phi-3-small's tokenizer, read from the table of byte pairs that its checkpoints hold instead of a tokenizer.json.

What is read is a plain fast tokenizer: saved with an adapter, it loads anywhere.

Not here: other models' tokenizers, which transformers reads (`finetune_trainer.models.loading`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

TABLE = "cl100k_base.tiktoken"
"""A line for each token: its bytes in base64, and its rank, which is its number."""

END_OF_TEXT = "<|endoftext|>"
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How cl100k splits text before it joins bytes."""

_FIRST = ("<|dummy_id_2|>", END_OF_TEXT, "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|dummy_id_0|>", "<|dummy_id_1|>", "<|end|>")
SPECIAL_TOKENS = (
    *_FIRST,
    *_ROLES,
    *(f"<|dummy_id_{number}|>" for number in range(3, 12)),
    "<|endofprompt|>",
    *(f"<|dummy_id_{number}|>" for number in range(12, 87)),
)
"""Numbered on from the table's last token: in the checkpoints 100256 to 100351, which fills up the vocabulary."""


def read(folder: Path) -> PreTrainedTokenizerFast | None:
    """Read the tokenizer of a folder that holds the table alone; None where transformers can read one itself."""
    if not (folder / TABLE).is_file() or (folder / "tokenizer.json").is_file():
        return None
    settings = _settings(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_byte_pairs(_ranks(folder / TABLE)),
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=settings.get("model_max_length", 8192),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = settings.get("chat_template")
    return tokenizer


def _settings(folder: Path) -> Mapping[str, object]:
    file = folder / "tokenizer_config.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _ranks(file: Path) -> dict[bytes, int]:
    lines = (line.split() for line in file.read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def _byte_pairs(ranks: Mapping[bytes, int]) -> Tokenizer:
    """Turn ranks into merges: a token is joined of each pair of tokens that makes it, lower ranks first."""
    letters = bytes_to_unicode()

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    merges: list[tuple[str, str]] = []
    for token in sorted(ranks, key=lambda each: ranks[each]):
        cuts = ((token[:place], token[place:]) for place in range(1, len(token)))
        pairs = [(left, right) for left, right in cuts if left in ranks and right in ranks]
        pairs.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        merges += [(spelled(left), spelled(right)) for left, right in pairs]
    vocabulary = {spelled(token): rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    return tokenizer
