"""A T5 of two million parameters with its own tokenizer, pre-trained on translations into Spanish.

It has never seen French, so that a job which teaches it French can be measured.

Not here: the translations (`translations.py`).
"""

import os
import random
from pathlib import Path
from typing import Any

import translations

LANGUAGE = "es"
VOCABULARY = 1024
CONTEXT = 512
STEPS, BATCH = 400, 32
PEAK_LEARNING_RATE = 2e-3
SEED = 7


def write(target: Path) -> None:
    """Train tokenizer and model, and save both as a Hugging Face folder."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # other processes may share the CPUs
    pairs = translations.pairs(LANGUAGE)
    tokenizer = _tokenizer([text for pair in pairs for text in pair])
    model = _model(tokenizer)
    _pretrain(model, tokenizer, pairs)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _tokenizer(texts: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, unk_token="<unk>", eos_token="</s>", pad_token="<pad>", model_max_length=CONTEXT
    )


def _model(tokenizer: Any) -> Any:
    """Make the model; every width is a multiple of 64 because bitsandbytes' 4-bit kernels for CPUs need that."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(SEED)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=192,
        d_ff=512,
        d_kv=32,
        num_heads=6,
        num_layers=2,
        num_decoder_layers=2,
        dropout_rate=0.1,
        n_positions=CONTEXT,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return T5ForConditionalGeneration(config)


def _pretrain(model: Any, tokenizer: Any, pairs: list[tuple[str, str]]) -> None:
    import torch

    print(f"{model.num_parameters():,} parameters read {len(pairs):,} pairs")
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=STEPS)
    dice = random.Random(SEED)
    model.train()
    for step in range(1, STEPS + 1):
        batch = [pairs[number] for number in dice.sample(range(len(pairs)), BATCH)]
        inputs = tokenizer([source for source, _target in batch], padding=True, return_tensors="pt")
        wanted = tokenizer([target for _source, target in batch], padding=True, return_tensors="pt")
        labels = wanted["input_ids"].masked_fill(wanted["attention_mask"] == 0, -100)
        loss = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step == 1 or step % 100 == 0:
            print(f"step {step}: loss {loss.item():.2f}", flush=True)
