"""Gemma 3 from 4B on also sees: its text model is what is planned, trained and saved."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from finetune_operator.planning import catalog
from finetune_trainer.contract import ExitCode, FailureReason
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)

TEXT = {
    "vocab_size": 2048,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
}
SIGHT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
}


@pytest.fixture
def gemma(tmp_path, samples):
    """A small Gemma 3 as it comes from a hub, with the tokenizer of the project's tiny Phi-3."""
    torch.manual_seed(0)
    text = TEXT | {"head_dim": 32, "sliding_window": 32}
    config = Gemma3Config(text_config=text, vision_config=SIGHT, mm_tokens_per_image=4, image_token_index=2047)
    return saved(Gemma3ForConditionalGeneration(config), tmp_path / "gemma", samples)


def saved(model, folder: Path, samples: Path) -> Path:
    model.save_pretrained(folder)
    for file in (samples / "models/tiny-phi3").glob("*token*"):
        shutil.copy(file, folder)
    return folder


@pytest.mark.parametrize("method", ["lora", "full", "qlora"])
def test_the_text_model_is_trained_and_comes_out_whole(gemma, a_small_run, carry_out, method):
    run = a_small_run(task="causal-lm", method=method, output__formats=("merged",))
    run = replace(run, model=replace(run.model, name="small-gemma", path=str(gemma)))
    code, report = carry_out(run)
    assert code == ExitCode.SUCCEEDED, report.message

    made = Path(run.output.directory) / "merged"
    assert json.loads((made / "config.json").read_text(encoding="utf-8"))["model_type"] == "gemma3_text"
    trained, before = load_file(made / "model.safetensors"), load_file(gemma / "model.safetensors")
    assert {name: before[f"language_model.{name}"].shape for name in trained} == {
        name: weight.shape for name, weight in trained.items()
    }
    moved = {name for name in trained if not torch.equal(trained[name], before[f"language_model.{name}"])}
    assert any("q_proj" in name for name in moved)

    shape = catalog.from_config(json.loads((gemma / "config.json").read_text(encoding="utf-8")))
    assert AutoModelForCausalLM.from_pretrained(made).num_parameters() == shape.parameters


def test_an_adapter_is_loaded_beside_the_text_model_as_its_card_says(gemma, a_small_run, carry_out):
    run = a_small_run(task="causal-lm", training__learning_rate=1e-2, output__formats=("adapter", "merged"))
    run = replace(run, model=replace(run.model, name="small-gemma", path=str(gemma)))
    carry_out(run)
    output = Path(run.output.directory)
    code = (output / "README.md").read_text(encoding="utf-8").split("`adapter/`")[1].split("```")[1]
    loaded = {}
    exec(
        code.removeprefix("python").replace("small-gemma", str(gemma)).replace('"adapter"', f'"{output}/adapter"'),
        loaded,
    )
    tokens = torch.randint(0, 2000, (2, 16))
    with torch.no_grad():
        beside = loaded["model"].eval()(input_ids=tokens).logits
        merged = AutoModelForCausalLM.from_pretrained(output / "merged").eval()(input_ids=tokens).logits
        with loaded["model"].disable_adapter():
            before = loaded["model"](input_ids=tokens).logits
    assert torch.allclose(beside, merged, atol=1e-4)
    assert not torch.allclose(before, merged, atol=1e-3)


def test_a_model_whose_text_part_cannot_stand_alone_is_refused(tmp_path, samples, a_small_run, carry_out):
    text = TEXT | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]}}
    sight = {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2}
    whole = Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=text, vision_config=sight))
    run = a_small_run(task="causal-lm")
    run = replace(run, model=replace(run.model, name="small-qwen", path=str(saved(whole, tmp_path / "qwen", samples))))
    _code, report = carry_out(run)
    assert report.reason is FailureReason.INVALID_RUN
    assert "transformers has no causal-lm head for this model" in report.message
