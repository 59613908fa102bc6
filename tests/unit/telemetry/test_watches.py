"""What kopf's log lines tell about its watches."""

import logging

import pytest
from finetune_operator.telemetry.watches import LOGGER, SIGNS, Restarts

LINES = {
    "gone": "Restarting the watch-stream for finetunejobs.v1alpha1.finetune.dev cluster-wide.",
    "timeout": "Watch-stream for pods.v1 in 'team' is inactive, reconnecting.",
    "error": "Request attempt #1/9 failed; will retry: GET https://10.96.0.1/api/v1/pods?watch=true -> TimeoutError()",
}


def record(line, level=logging.DEBUG):
    return logging.LogRecord(LOGGER, level, "", 0, line, (), None)


@pytest.mark.parametrize(("reason", "line"), LINES.items())
def test_a_restart_is_counted_and_not_written_to_the_log(reason, line):
    told = []
    assert not Restarts(lambda *what: told.append(what)).filter(record(line))
    assert told == [("finetunejobs" if reason == "gone" else "pods", reason)]


def test_other_lines_are_not_counted_and_warnings_stay():
    told = []
    restarts = Restarts(lambda *what: told.append(what))
    assert not restarts.filter(record("Starting the watch-stream for pods.v1 cluster-wide."))
    assert restarts.filter(record("Ignoring an unsupported event type", logging.WARNING))
    assert told == []


def test_kopf_still_says_it_in_these_words():
    import inspect

    from kopf._cogs.clients import api, watching

    source = inspect.getsource(watching).replace("{resource} {where}", "pods.v1 cluster-wide")
    source += inspect.getsource(api).replace("{idx}", "#1/9").replace("{what}", "GET https://a/api/v1/pods")
    assert watching.logger.name == LOGGER
    assert all(sign.search(source) for sign in SIGNS.values())
