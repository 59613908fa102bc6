"""A model's numbers, from its config.json and back to what a plan is made of."""

import inspect
import re

import pytest
from finetune_operator.api.v1alpha1.pretrained import ModelNumbers, Shape
from finetune_operator.planning.catalog import (
    CatalogError,
    described,
    families,
    find,
    from_config,
    hf_config,
    numbers,
    read_shape,
)
from finetune_trainer import inspection
from finetune_trainer.contract import MODEL_CONFIG_KEYS
from model_configs import BERT, LLAMA, PHI3_MINI, PUBLISHED, T5_SMALL

FALCON = PUBLISHED["falcon-40b"]
UNEVEN = T5_SMALL | {"num_decoder_layers": 3, "feed_forward_proj": "gated-gelu"}
OTHERS = {
    "an uneven encoder-decoder": UNEVEN,
    "a decoder with biases": LLAMA | {"attention_bias": True},
    "one that is alike to the left and right": FALCON | {"parallel_attn": False},
    "one with two norms side by side": FALCON | {"num_ln_in_parallel_attn": 2},
    "one that counts its tables": BERT | {"type_vocab_size": 7},
    "one with learned positions": LLAMA | {"model_type": "opt", "ffn_dim": 512, "num_key_value_heads": None},
    "one of the first decoders": LLAMA | {"model_type": "gpt2", "n_inner": None},
    "an encoder of RoBERTa's kind": BERT | {"model_type": "camembert", "max_position_embeddings": 514},
    "an encoder with a narrow token table": BERT | {"model_type": "electra", "embedding_size": 128},
    "an encoder with distances": BERT | {"model_type": "deberta-v2", "relative_attention": True},
    "an encoder-decoder with layer norms": LLAMA | {"model_type": "bart", "num_key_value_heads": None},
    "an encoder-decoder that shares its table of distances with nobody": T5_SMALL | {"model_type": "umt5"},
    "a window that is not used": PHI3_MINI | {"use_sliding_window": False},
}


def told(config):
    """What an inspection tells of a config.json."""
    return inspection._numbers(config)


@pytest.mark.parametrize("config", (PUBLISHED | OTHERS).values(), ids=PUBLISHED | OTHERS)
def test_a_model_that_is_read_and_described_is_that_of_its_config(config):
    if "model_type" not in told(config):
        config = config | {"model_type": "llama"}
    assert described("mine", read_shape(told(config))) == from_config(config, name="mine")


class Asked(dict):
    """A config that remembers which keys it was asked for."""

    def __init__(self, values):
        super().__init__(values)
        self.keys_asked = set()

    def get(self, key, default=None):
        self.keys_asked.add(key)
        return super().get(key, default)


@pytest.mark.parametrize("kind", sorted(families.FAMILIES))
def test_an_inspection_tells_every_key_that_a_shape_is_read_from(kind):
    config = Asked(LLAMA | {"model_type": kind})
    from_config(config)
    assert config.keys_asked <= MODEL_CONFIG_KEYS | {inspection.NESTED, "_name_or_path"}


def test_no_key_is_told_that_nobody_reads():
    sources = inspect.getsource(hf_config) + inspect.getsource(families)
    assert {key for key in MODEL_CONFIG_KEYS if f'"{key}"' not in sources} == set()


WRONG = {
    "no architecture": ({"model_type": None}, "model_type is missing"),
    "an architecture that is no word": ({"model_type": 5}, "model_type is missing"),
    "an architecture with experts": ({"model_type": "qwen2_moe"}, "model_type qwen2_moe has experts"),
    "an architecture of no known form": ({"model_type": "GPT 5"}, "model_type cannot be 'GPT 5'"),
    "experts": ({"num_experts": 8}, "model_type llama is a mixture of experts"),
    "a number that is missing": ({"hidden_size": None}, "hidden_size (or n_embd, n_embed, d_model, dim) is missing"),
    "a number that is none": ({"vocab_size": "32k"}, "vocab_size must be a whole number above 0, but is '32k'"),
    "a number beyond all models": ({"num_hidden_layers": 99_999}, "num_hidden_layers cannot be 99999"),
    "heads that cannot be shared": (
        {"num_key_value_heads": 7},
        "num_key_value_heads 7 does not divide num_attention_heads 32",
    ),
}


@pytest.mark.parametrize(("changed", "want"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_named_as_the_config_calls_it(changed, want):
    with pytest.raises(CatalogError, match=f"^config.json: {re.escape(want)}"):
        read_shape(LLAMA | changed)


def test_every_number_is_named_as_the_config_calls_it():
    given = {field.alias for field in ModelNumbers.model_fields.values()}
    assert given - set(numbers._KEYS) == {"tiedEmbeddings", "gated", "biases"}


def test_numbers_that_a_user_leaves_out_are_as_the_architecture_has_them():
    found = find("phi-3-mini")
    given = Shape(
        architecture="phi3", hidden_size=3072, layers=32, attention_heads=32, intermediate_size=8192,
        vocabulary_size=32064, max_positions=4096,
    )  # fmt: skip
    made = described("mine", given)
    assert (made.parameters, made.sliding_window, made.name) == (found.parameters, None, "mine")


def test_a_user_may_say_all_that_an_inspection_tells():
    found = read_shape(UNEVEN)
    assert described("mine", Shape(**found.model_dump())) == described("mine", found)
