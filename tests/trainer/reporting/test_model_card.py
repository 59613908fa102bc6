from finetune_trainer.contract import ExitReport, Outcome
from finetune_trainer.reporting.model_card import model_card

REPORT = ExitReport(
    outcome=Outcome.SUCCEEDED,
    step=100,
    trainable_parameters=74_498,
    total_parameters=22_788_484,
    metrics_before={"accuracy": 0.52},
    metrics_after={"accuracy": 0.796, "loss": 0.45},
)


def test_it_names_base_method_and_the_metrics_before_and_after(a_run):
    card = model_card(a_run(method="qlora"), REPORT)
    assert card.startswith("---\nbase_model: all-minilm-l6-v2\nlibrary_name: peft\n")
    assert "| base weights | nf4 |" in card
    assert "| trained parameters | 74,498 of 22,788,484 |" in card
    assert "| accuracy | 0.52 | 0.796 |" in card
    assert "| loss | - | 0.45 |" in card


def test_a_whole_model_is_the_transformers_librarys(a_run):
    card = model_card(a_run(method="full"), REPORT)
    assert "library_name: transformers" in card
    assert "rank" not in card
