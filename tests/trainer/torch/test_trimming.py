"""A run's memory stays what it is after its first batches, however long it takes."""

from finetune_trainer.contract import ExitCode
from finetune_trainer.process import memory
from finetune_trainer.training import callbacks

STEPS, ACCUMULATED, HELD_OUT_BATCHES = 4, 2, 3


def test_free_memory_is_given_back_every_so_many_batches_trained_or_evaluated(a_small_run, carry_out, monkeypatch):
    times = []
    monkeypatch.setattr(callbacks, "TRIM_EVERY", 5)
    monkeypatch.setattr(memory, "give_back", lambda: times.append(1))
    run = a_small_run(training__max_steps=STEPS, training__gradient_accumulation_steps=ACCUMULATED)
    assert carry_out(run)[0] == ExitCode.SUCCEEDED
    assert len(times) == (HELD_OUT_BATCHES + STEPS * ACCUMULATED + HELD_OUT_BATCHES) // 5
