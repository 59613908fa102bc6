"""A Phi-3 of two million parameters with its own tokenizer, pre-trained for a minute on standard-library docstrings.

Adapters learn nothing from random weights, so the base must have read some English first.

Not here: the text (`documentation.py`).
"""

import os
import random
from pathlib import Path
from typing import Any

import documentation

VOCABULARY = 2048
CONTEXT = 512
STEPS, BATCH, WINDOW = 250, 16, 128
PEAK_LEARNING_RATE = 3e-3
SEED = 7

SPECIAL_TOKENS = ("<unk>", "<s>", "<|endoftext|>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")

# Phi-3's markers; the generation tags tell the trainer which tokens are the assistant's.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ '<|system|>\n' + message['content'] + '<|end|>\n' }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + '<|end|>\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>\n' }}"
    "{% generation %}{{ message['content'] + '<|end|>\n' }}{% endgeneration %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def write(target: Path) -> None:
    """Train tokenizer and model, and save both as a Hugging Face folder."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # other processes may share the CPUs
    passages = [passage.text for passage in documentation.for_the_base()]
    tokenizer = _tokenizer(passages)
    model = _model(tokenizer)
    _pretrain(model, tokenizer, passages)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _tokenizer(passages: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(passages, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="<|endoftext|>",
        pad_token="<pad>",
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _model(tokenizer: Any) -> Any:
    """Make the model; every width is a multiple of 64 because bitsandbytes' 4-bit kernels for CPUs need that."""
    import torch
    from transformers import Phi3Config, Phi3ForCausalLM

    torch.manual_seed(SEED)
    config = Phi3Config(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=CONTEXT,
        original_max_position_embeddings=CONTEXT,
        sliding_window=None,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Phi3ForCausalLM(config)


def _pretrain(model: Any, tokenizer: Any, passages: list[str]) -> None:
    """Read windows of the joined text: no padding, so each of the few steps counts."""
    import torch

    stream: list[int] = []
    for text in passages:
        stream += [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    windows = torch.tensor(stream[: len(stream) // WINDOW * WINDOW]).view(-1, WINDOW)
    print(f"{model.num_parameters():,} parameters read {len(stream):,} tokens of {len(passages):,} passages")
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=STEPS)
    dice = random.Random(SEED)
    model.train()
    for step in range(1, STEPS + 1):
        batch = windows[dice.sample(range(len(windows)), BATCH)]
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step == 1 or step % 50 == 0:
            print(f"step {step}: loss {loss.item():.2f}", flush=True)
