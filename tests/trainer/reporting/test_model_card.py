from dataclasses import replace

import yaml
from finetune_trainer.contract import Choice, DatasetFacts, ExitReport, Outcome
from finetune_trainer.reporting.model_card import Facts, model_card

REPORT = ExitReport(
    outcome=Outcome.SUCCEEDED,
    step=100,
    trainable_parameters=74_498,
    total_parameters=22_788_484,
    metrics_before={"accuracy": 0.52},
    metrics_after={"accuracy": 0.796, "loss": 0.45},
    dataset=DatasetFacts(training_rows=900, held_out_rows=100),
)
DATA = {"name": "rows.jsonl", "sha256": "ab" * 32}
CLASSIFIER = Facts(model_class="BertForSequenceClassification", data=DATA, differences={"adapter": None})


def header(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_its_header_is_what_the_hub_reads(a_run):
    found = header(model_card(a_run(), REPORT, CLASSIFIER))
    assert found["base_model"] == "all-minilm-l6-v2"
    assert (found["library_name"], found["base_model_relation"]) == ("peft", "adapter")
    assert found["pipeline_tag"] == "text-classification"
    assert found["tags"] == ["base_model:adapter:all-minilm-l6-v2", "lora", "text-classification", "finetune-operator"]
    (result,) = found["model-index"][0]["results"]
    assert result["dataset"] == {"name": "rows.jsonl", "type": "private", "revision": "ab" * 32}
    assert {"type": "accuracy", "value": 0.796} in result["metrics"]


def test_it_names_base_method_and_the_metrics_before_and_after(a_run):
    card = model_card(a_run(method="qlora"), REPORT, CLASSIFIER)
    assert "| base weights | nf4 |" in card
    assert "| trained parameters | 74,498 of 22,788,484 (0.33%) |" in card
    assert "| accuracy | 0.52 | 0.796 | +0.276 |" in card
    assert "| loss | - | 0.45 | - |" in card
    assert "| rows | 900 learnt, 100 held out |" in card
    assert "![Loss by step](loss.png)" in card


def test_it_shows_what_was_planned_and_why_where_a_plan_was_made(a_run):
    run = replace(a_run(), choices=(Choice(name="training.learningRate", value="0.01", reason="ia3 trains few"),))
    assert "## Plan\n" in model_card(run, REPORT, CLASSIFIER)
    assert "| `training.learningRate` | 0.01 | ia3 trains few |" in model_card(run, REPORT, CLASSIFIER)
    assert "## Plan" not in model_card(a_run(), REPORT, CLASSIFIER)


def test_a_whole_model_is_the_transformers_librarys(a_run):
    facts = Facts(model_class="BertForSequenceClassification", differences={"merged": None})
    card = model_card(a_run(method="full"), REPORT, facts)
    assert (header(card)["library_name"], header(card)["base_model_relation"]) == ("transformers", "finetune")
    assert "rank" not in card
    assert 'AutoModelForSequenceClassification.from_pretrained("model")' in card


def test_it_tells_how_far_each_artifact_is_from_what_was_measured(a_run):
    facts = Facts(model_class="Phi3ForCausalLM", differences={"adapter": None, "merged": 0.604, "onnx": 4e-6})
    run = a_run(task="chat", method="qlora", output__formats=("adapter", "merged", "onnx"))
    card = model_card(run, REPORT, facts)
    assert "at most 0.6 from those of the model measured above: its adapter learnt beside nf4 weights" in card
    assert "at most 4e-06 from those of the model in torch" in card
    assert 'onnxruntime_genai.Model("onnx")' in card


def test_an_adapter_beside_fewer_bits_is_loaded_beside_the_same(a_run):
    facts = Facts(model_class="Phi3ForCausalLM", differences={"adapter": None})
    card = model_card(a_run(task="chat", method="qlora"), REPORT, facts)
    assert 'bnb_4bit_quant_type="nf4"' in card
    assert "quantization_config=stored, dtype=dtype" in card
    assert "support_avx512bf16_for_cpu" not in card, "only DoRA reads the weights themselves"
    assert "BitsAndBytesConfig" not in model_card(a_run(task="chat"), REPORT, facts)


def test_an_adapter_of_a_text_model_is_loaded_beside_that_and_not_the_whole(a_run):
    facts = Facts(model_class="Gemma3ForCausalLM", is_inside=True, differences={"adapter": None, "merged": 1e-7})
    for method in ("lora", "qlora"):
        card = model_card(a_run(task="chat", method=method, output__formats=("adapter", "merged")), REPORT, facts)
        adapter, merged = card.split("## Use")[1].split("`merged/`")
        assert "get_text_config()" in adapter
        assert "config=config, key_mapping=names" in adapter
        assert "key_mapping" not in merged
