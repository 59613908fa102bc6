"""Phi-3-small, the model that transformers lacks: its size, its sparse attention, training and what comes out."""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from finetune_operator.planning import catalog
from finetune_trainer.contract import ExitCode, LoraSettings
from finetune_trainer.models import phi3small
from finetune_trainer.models.phi3small.attention import block_sparse
from finetune_trainer.models.phi3small.configuration import Phi3SmallConfig
from finetune_trainer.models.phi3small.model import gegelu
from finetune_trainer.models.phi3small.tokenizer import SPECIAL_TOKENS, TABLE
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

TARGETS = ("query_key_value", "dense", "up_proj", "down_proj")
LAYER = (
    *(f"{norm}.{part}" for norm in ("input_layernorm", "post_attention_layernorm") for part in ("weight", "bias")),
    *(f"self_attn.{name}.{part}" for name in TARGETS[:2] for part in ("weight", "bias")),
    *(f"mlp.{name}.{part}" for name in TARGETS[2:] for part in ("weight", "bias")),
)
# What the config.json of the published checkpoint says of its shape.
PUBLISHED = {
    "model_type": "phi3small",
    "hidden_size": 4096,
    "ff_intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 100352,
    "max_position_embeddings": 8192,
    "rope_embedding_base": 1000000,
    "rope_scaling": None,
    "gegelu_limit": 20.0,
    "dense_attention_every_n_layers": 2,
    "blocksparse_block_size": 64,
    "blocksparse_num_local_blocks": 16,
    "blocksparse_vert_stride": 8,
    "tie_word_embeddings": True,
}


def small(**changes):
    """A Phi-3-small whose sparse layers already leave tokens out at twelve of them."""
    shape = {
        "vocab_size": 2048,
        "hidden_size": 128,
        "ff_intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "blocksparse_block_size": 4,
        "blocksparse_num_local_blocks": 2,
        "blocksparse_vert_stride": 3,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
    }
    return Phi3SmallConfig(**{**shape, **changes})


@pytest.fixture
def model():
    phi3small.register()
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(small()).eval()


@pytest.fixture
def tokens():
    return torch.randint(4, 2048, (2, 40), generator=torch.Generator().manual_seed(0))


def test_the_published_config_gives_the_published_number_of_parameters(tmp_path):
    phi3small.register()
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED), encoding="utf-8")
    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    known = catalog.find("phi-3-small")
    assert whole.num_parameters() == known.parameters == known.published_parameters == 7_392_272_384
    assert {name.removeprefix("model.layers.0.") for name, _ in whole.named_parameters() if ".0." in name} == set(LAYER)
    outer = {name for name, _ in whole.named_parameters() if ".layers." not in name}
    assert outer == {"model.embed_tokens.weight", "model.final_layernorm.weight", "model.final_layernorm.bias"}
    linears = {one.name: (one.width_out, one.width_in) for one in known.linears}
    layer = whole.model.layers[0]
    found = {name: tuple(getattr(layer.self_attn, name).weight.shape) for name in TARGETS[:2]}
    found |= {name: tuple(getattr(layer.mlp, name).weight.shape) for name in TARGETS[2:]}
    assert found == linears


def test_logits_have_a_row_for_each_token(model, tokens):
    assert model(tokens).logits.shape == (2, 40, 2048)


def seen_slowly(config, head, query, key):
    """The pattern in words: near blocks, and of those further back each eighth, counted differently by each head."""
    query_block, key_block = query // config.blocksparse_block_size, key // config.blocksparse_block_size
    shift = 0 if config.blocksparse_homo_head_pattern else head
    near = query_block - key_block < config.blocksparse_num_local_blocks
    return near or (key_block + shift + 1) % config.blocksparse_vert_stride == 0


@pytest.mark.parametrize("alike", [False, True], ids=["each head its own", "all heads alike"])
def test_a_sparse_layer_sees_near_blocks_and_stripes(alike):
    config = small(blocksparse_homo_head_pattern=alike)
    positions = torch.arange(40)[None]
    found = block_sparse(config, positions, positions)
    want = [[[seen_slowly(config, head, q, k) for k in range(40)] for q in range(40)] for head in range(4)]
    assert found[0].tolist() == want
    assert not found.all()


def test_only_sparse_layers_leave_tokens_out(tokens):
    phi3small.register()
    torch.manual_seed(0)
    sparse = AutoModelForCausalLM.from_config(small()).eval()
    dense = AutoModelForCausalLM.from_config(small(dense_attention_every_n_layers=1)).eval()
    dense.load_state_dict(sparse.state_dict())
    mixed, full = sparse(tokens).logits, dense(tokens).logits
    assert torch.allclose(mixed[:, :8], full[:, :8], atol=1e-6)
    assert not torch.allclose(mixed[:, 12:], full[:, 12:], atol=1e-4)


def test_the_gate_is_clipped_and_reads_even_and_odd_columns():
    found = gegelu(torch.tensor([[1.0, 2.0, 30.0, -50.0]]), 20.0)
    want = [1.0 * torch.sigmoid(torch.tensor(1.702)).item() * 3.0, 20.0 * -19.0]
    assert found[0].tolist() == pytest.approx(want, rel=1e-5)


def test_eager_and_fused_attention_agree(model, tokens):
    fused = model(tokens).logits
    model.set_attn_implementation("eager")
    assert torch.allclose(model(tokens).logits, fused, atol=1e-5)


def test_generation_with_a_cache_writes_the_same(model, tokens):
    words = {"max_new_tokens": 24, "do_sample": False, "eos_token_id": None, "pad_token_id": 3}
    cached = model.generate(tokens, use_cache=True, **words)
    assert torch.equal(model.generate(tokens, use_cache=False, **words), cached)
    assert cached.shape == (2, 64)


def test_padding_in_front_changes_nothing(model, tokens):
    words = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 3}
    padded = torch.cat([torch.full((2, 7), 3), tokens], dim=1)
    mask = (torch.arange(47) >= 7).long().expand(2, -1)
    assert torch.equal(model.generate(padded, attention_mask=mask, **words)[:, 7:], model.generate(tokens, **words))


def test_checkpointing_gives_the_same_gradients(tokens):
    phi3small.register()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(small(embedding_dropout_prob=0.0, ffn_dropout_prob=0.0)).train()
    gradients = []
    for switch in (model.activation_checkpointing_enable, model.activation_checkpointing_disable):
        switch()
        model.zero_grad()
        model(tokens, labels=tokens, use_cache=False).loss.backward()
        gradients.append(model.model.layers[0].self_attn.query_key_value.weight.grad.clone())
    assert gradients[0].abs().max() > 0
    assert torch.equal(*gradients)


def test_saved_and_read_again_it_answers_the_same(model, tokens, tmp_path):
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.equal(again(tokens).logits, model(tokens).logits)
    labelled = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    assert labelled(tokens, attention_mask=torch.ones_like(tokens)).logits.shape == (2, 3)


def test_unused_tokens_are_never_written(model, tokens):
    model.config.dummy_token_indices = list(range(5, 2048))
    written = model.generate(tokens, max_new_tokens=8, do_sample=False, eos_token_id=None, pad_token_id=3)
    assert written[:, 40:].max() < 5


def test_long_positions_stretch_when_there_are_more_than_were_learnt(tokens):
    phi3small.register()
    torch.manual_seed(0)
    scaling = {"type": "su", "short_factor": [1.0] * 16, "long_factor": [4.0] * 16, "short_mscale": 1.0}
    scaling |= {"long_mscale": 1.2, "original_max_position_embeddings": 30}
    long = AutoModelForCausalLM.from_config(small(rope_scaling=scaling, original_max_position_embeddings=30)).eval()
    plain = AutoModelForCausalLM.from_config(small()).eval()
    plain.load_state_dict(long.state_dict())
    assert torch.allclose(long(tokens[:, :30]).logits, plain(tokens[:, :30]).logits, atol=1e-6)
    assert not torch.allclose(long(tokens).logits, plain(tokens).logits, atol=1e-4)


def test_a_folder_with_nothing_but_a_table_of_byte_pairs_has_a_tokenizer(samples, tmp_path):
    source = AutoTokenizer.from_pretrained(samples / "models" / "tiny-phi3")
    letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
    learnt = sorted((number, token) for token, number in source.get_vocab().items() if not token.startswith("<"))
    lines = [
        f"{base64.b64encode(bytes(letters[letter] for letter in token)).decode()} {rank}"
        for rank, (_number, token) in enumerate(learnt)
    ]
    (tmp_path / TABLE).write_text("\n".join(lines), encoding="ascii")
    tokenizer = phi3small.read_tokenizer(tmp_path)
    text = "Return the sum of 12345 numbers\n\n  don't panic: caf\u00e9"
    ids = tokenizer(text + "<|end|>")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert ids[-1] == len(lines) + SPECIAL_TOKENS.index("<|end|>")
    assert "\u0120of" in tokenizer.tokenize("sum of it")
    tokenizer.save_pretrained(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(tmp_path / "saved")(text + "<|end|>")["input_ids"] == ids


def test_the_tokens_of_conversations_have_the_numbers_of_the_checkpoint():
    numbers = {token: 100256 + place for place, token in enumerate(SPECIAL_TOKENS)}
    assert numbers["<|endoftext|>"] == 100257
    assert (numbers["<|system|>"], numbers["<|user|>"], numbers["<|assistant|>"]) == (100261, 100262, 100263)
    assert (numbers["<|end|>"], numbers["<|endofprompt|>"], max(numbers.values())) == (100266, 100276, 100351)


@pytest.fixture
def small_folder(samples, tmp_path, model):
    """A folder as the trainer finds one: a small Phi-3-small with the samples' tokenizer."""
    folder = tmp_path / "small"
    shutil.copytree(samples / "models" / "tiny-phi3", folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    return folder


def test_a_small_one_learns_then_adapts_and_merges(  # noqa: PLR0917
    a_small_run, carry_out, small_folder, tmp_path, tokens
):
    run = a_small_run(task="causal-lm", method="full", rows=200, training__max_steps=20, training__learning_rate=3e-3)
    run = replace(run, model=replace(run.model, name="small", path=str(small_folder)))
    code, taught = carry_out(run)
    assert code == ExitCode.SUCCEEDED
    assert taught.metrics_after["loss"] < taught.metrics_before["loss"] - 0.2

    base = Path(run.output.directory) / "model"
    lora = LoraSettings(rank=8, alpha=16, dropout=0.0, target_modules=TARGETS)
    run = replace(
        a_small_run(task="chat", rows=100, training__max_steps=10, output__formats=("adapter", "merged")),
        job=replace(run.job, uid="uid-2"),
        checkpoints=replace(run.checkpoints, directory=str(tmp_path / "again")),
    )
    run = replace(
        run,
        model=replace(run.model, name="small", path=str(base)),
        technique=replace(run.technique, lora=lora),
        output=replace(run.output, directory=str(tmp_path / "adapted")),
        training=replace(run.training, gradient_checkpointing=True),
    )
    code, adapted = carry_out(run)
    assert code == ExitCode.SUCCEEDED
    assert adapted.metrics_after["loss"] < adapted.metrics_before["loss"]
    assert adapted.trainable_parameters == lora_parameters(small(), rank=8)

    from peft import PeftModel

    beside = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapted" / "adapter")
    inside = AutoModelForCausalLM.from_pretrained(tmp_path / "adapted" / "merged")
    assert torch.allclose(inside.eval()(tokens).logits, beside.eval()(tokens).logits, atol=1e-4)


def lora_parameters(config, *, rank):
    hidden, inner = config.hidden_size, config.intermediate_size
    fused = (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim
    widths = ((hidden, fused), (hidden, hidden), (hidden, 2 * inner), (inner, hidden))
    return config.num_hidden_layers * sum(rank * (one + other) for one, other in widths)
