"""What a real run tells Prometheus."""

import pytest
from finetune_trainer.reporting.metrics import Metrics
from prometheus_client.parser import text_string_to_metric_families

PEAK = 5.0e12


@pytest.fixture
def measured(carry_out, monkeypatch):
    """Carry out a run; give its metrics by name, or by name and phase or result."""
    made = []
    begin = Metrics.__init__

    def remember(self, job, **more):
        begin(self, job, **more)
        made.append(self)

    monkeypatch.setattr(Metrics, "__init__", remember)

    def carry(run):
        _code, report = carry_out(run)
        families = text_string_to_metric_families(made[-1].exposition()[0].decode())
        found = {}
        for sample in (sample for family in families for sample in family.samples):
            detail = sample.labels.get("phase") or sample.labels.get("result")
            found[(sample.name, detail) if detail else sample.name] = sample.value
        return report, found

    return carry


def test_a_run_counts_its_steps_tokens_operations_and_checkpoints(a_small_run, measured):
    run = a_small_run(training__max_steps=4, training__gradient_accumulation_steps=2, reporting__peak_flops=PEAK)
    report, found = measured(run)
    assert found["finetune_training_steps_total"] == found["finetune_training_step_seconds_count"] == 4
    assert found["finetune_training_samples_total"] == 4 * 8 * 2
    assert found["finetune_training_tokens_total"] == report.trained_tokens > 0
    assert found["finetune_training_checkpoints_total", "succeeded"] == 2
    assert found["finetune_training_checkpoint_bytes_total"] > 0
    assert found["finetune_job_peak_flops"] == PEAK
    assert found["finetune_job_checkpoint_interval_seconds"] > 0
    layers = 10.6e6  # of the 22.7 M weights of the model, those that are not looked up; about
    assert found["finetune_training_flops_total"] / report.trained_tokens == pytest.approx(4 * layers, rel=0.2)


def test_phases_make_up_the_time_of_the_steps(a_small_run, measured):
    _report, found = measured(a_small_run(training__max_steps=6))
    for phase in ("data", "forward", "backward", "optimizer"):
        assert found["finetune_training_phase_seconds_total", phase] > 0
    assert found["finetune_training_phase_seconds_total", "checkpoint"] > 0
    inside = sum(
        found["finetune_training_phase_seconds_total", phase] for phase in ("forward", "backward", "optimizer")
    )
    whole = found["finetune_training_step_seconds_sum"]
    assert 0.7 * whole < inside <= whole * 1.05


def test_a_task_that_generates_text_tells_how_many_tokens_it_gets_right(a_small_run, measured):
    _report, found = measured(a_small_run(task="chat", training__max_steps=2))
    assert 0 <= found["finetune_job_mean_token_accuracy"] <= 1
    assert "finetune_job_peak_flops" not in found


def test_an_evaluation_amid_the_training_is_told_since_no_step_is_made_in_it(a_small_run, carry_out, monkeypatch):
    told = []
    monkeypatch.setattr(Metrics, "entered", lambda _self, phase, _at: told.append(phase.value))
    carry_out(a_small_run(training__max_steps=4, evaluation__every_steps=2))
    assert "".join(each[0] for each in told if each in {"Training", "Evaluating"}) == "TETETE"
