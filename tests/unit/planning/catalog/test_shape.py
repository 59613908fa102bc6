"""What follows from a model's numbers."""

import pytest
from finetune_operator.planning.catalog import find


def test_the_width_of_a_head_follows_where_nothing_else_is_said():
    assert find("phi-3-mini").head_dim == 3072 // 32
    assert find("gemma-2-9b").head_dim == 256


def test_queries_may_be_wider_than_the_model():
    assert find("gemma-7b").query_width == 16 * 256 > find("gemma-7b").hidden


def test_keys_and_values_are_as_wide_as_their_heads():
    assert find("llama-3.1-8b").kv_width == 8 * 128


def test_an_output_head_counts_unless_it_is_tied_or_the_model_is_an_encoder():
    tables = {name: find(name).embedding_tables for name in ("phi-3-mini", "gemma-2-9b", "bert-base", "flan-t5-base")}
    assert tables == {"phi-3-mini": 2, "gemma-2-9b": 1, "bert-base": 1, "flan-t5-base": 2}


def test_the_parts_of_a_model_add_up_to_it():
    shape = find("t5-small")
    parts = shape.linear_parameters + shape.embedding_parameters + shape.vector_parameters + shape.pooler_parameters
    assert parts == shape.parameters


def test_a_decoder_beside_an_encoder_has_layers_of_its_own():
    shape = find("t5-small")
    encoder = shape.layers * (shape.attention_parameters + shape.mlp_parameters)
    assert shape.linear_parameters == encoder + shape.decoder_layers * sum(one.weights for one in shape.decoder_linears)


@pytest.mark.parametrize(
    ("name", "millions"), {"phi-3-mini": 12.58, "llama-3.1-8b": 20.97, "phi-3-medium": 27.85}.items()
)
def test_lora_on_all_matrices_trains_as_many_weights_as_is_known(name, millions):
    """Rank 8: the figure that PEFT prints for these models."""
    shape = find(name)
    adapter = shape.layers * sum(8 * (one.width_in + one.width_out) for one in shape.linears)
    assert adapter == pytest.approx(millions * 1e6, rel=1e-3)


def test_a_shape_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        find("phi-2").layers = 3
