import os
import signal

import pytest
from finetune_trainer.contract import ExitCode
from finetune_trainer.training.stop import StopRequest


class Ended(Exception):
    pass


@pytest.fixture
def stop(monkeypatch):
    def end(code):
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)
    before = signal.getsignal(signal.SIGTERM)
    request = StopRequest()
    request.listen()
    yield request
    signal.signal(signal.SIGTERM, before)


def test_while_training_the_first_signal_only_asks(stop):
    with stop.saving_first():
        signal.raise_signal(signal.SIGTERM)
    assert stop.requested


def test_the_second_one_ends_at_once(stop):
    with stop.saving_first():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Ended) as caught:
            signal.raise_signal(signal.SIGTERM)
    assert caught.value.args == (ExitCode.SUSPENDED,)


def test_outside_of_training_it_says_its_last_words_and_ends(stop):
    said = []
    stop.leave_with(lambda: said.append("report"))
    with pytest.raises(Ended):
        signal.raise_signal(signal.SIGTERM)
    assert said == ["report"]
