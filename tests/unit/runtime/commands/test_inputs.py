"""Files beside the manifest: profiles and a model's config."""

import json

import pytest
from finetune_operator.planning.profiles import Profiles
from finetune_operator.runtime.commands import inputs
from finetune_operator.runtime.commands.complaints import BadInput

HARDWARE = "hardware: {big: {accelerator: nvidia-h100, devicesPerNode: 8}}"
LLAMA = {
    "model_type": "llama",
    "hidden_size": 2048,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "intermediate_size": 5632,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}


def written(folder, text):
    path = folder / "file"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [f"profiles: {{{HARDWARE}}}\nworkers: 3", f"profiles: {{{HARDWARE}}}", HARDWARE])
def test_profiles_are_read_from_the_operators_file_or_from_their_own(tmp_path, text):
    assert list(inputs.profiles(written(tmp_path, text)).hardware) == ["big"]


def test_without_files_there_is_nothing_to_read():
    assert inputs.profiles(None) == Profiles()
    assert inputs.shape(None) is None


WRONG = {
    "a key of the config": ("{profiles: {cpu: {memory: 5}}}", r"profiles\.cpu\.memory"),
    "a key of the profiles alone": (
        "cpu: {memoryBytes: -1}",
        r"profiles\.cpu\.memoryBytes: must be greater than 0, not -1",
    ),
    "a name that is in no catalog": (
        "{hardware: {a: {accelerator: nvidia-l44}}, prices: {zzzzzzzzzz: 1.0}}",
        r"profiles\.hardware\.a\.accelerator: .*\n.*: profiles\.prices\.zzzzzzzzzz: '\w*' is not in the catalog$",
    ),
    "no YAML": ("a: [", "file"),
    "a list": ("- a", "the file"),
}


@pytest.mark.parametrize(("text", "want"), WRONG.values(), ids=WRONG)
def test_wrong_profiles_are_refused_with_the_wrong_key(tmp_path, text, want):
    with pytest.raises(BadInput, match=want):
        inputs.profiles(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"none"):
        inputs.profiles(tmp_path / "none")
    with pytest.raises(BadInput, match=r"none"):
        inputs.shape(tmp_path / "none")


def test_a_models_config_gives_its_shape(tmp_path):
    shape = inputs.shape(written(tmp_path, json.dumps(LLAMA)))
    assert (shape.hidden, shape.layers, shape.kv_heads) == (2048, 22, 32)


CONFIGS = {
    "a number is missing": (json.dumps(LLAMA | {"vocab_size": None}), "vocab_size is missing"),
    "no object": ("[]", "must be a JSON object"),
    "no JSON": ("{", "file"),
}


@pytest.mark.parametrize(("text", "want"), CONFIGS.values(), ids=CONFIGS)
def test_a_wrong_config_is_refused(tmp_path, text, want):
    with pytest.raises(BadInput, match=want):
        inputs.shape(written(tmp_path, text))
