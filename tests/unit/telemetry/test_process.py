"""What is measured as things happen."""

import pytest
from finetune_operator.telemetry.instruments import exposition
from finetune_operator.telemetry.process import Telemetry

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def telemetry():
    return Telemetry("1.0")


def text(telemetry, accept="") -> str:
    return exposition(telemetry.registry, accept)[0].decode()


def test_requests_passes_and_lag_are_measured(telemetry):
    telemetry.requested("get", "pods", 200, 0.01)
    telemetry.reconciled("success", 0.01)
    telemetry.in_flight(1, 2)
    telemetry.queued(0.2)
    telemetry.lagged(0.1)
    telemetry.unhandled(KeyError())
    told = text(telemetry)
    assert 'api_requests_total{code="2xx",replica_role="standalone",resource="pods",verb="get"} 1.0' in told
    assert 'unhandled_errors_total{cause="KeyError",replica_role="standalone"} 1.0' in told
    assert 'finetune_operator_queue_depth{replica_role="standalone"} 2.0' in told
    assert 'finetune_operator_queue_duration_seconds_count{replica_role="standalone"} 1.0' in told
    assert 'finetune_operator_event_loop_lag_seconds_count{replica_role="standalone"} 1.0' in told


CODES = {0: "none", 200: "2xx", 302: "3xx", 404: "4xx", 409: "409", 429: "429", 503: "5xx", 999: "none"}


@pytest.mark.parametrize(("status", "want"), CODES.items())
def test_codes_are_few(telemetry, status, want):
    telemetry.requested("get", "pods", status, 0.1)
    assert f'code="{want}"' in text(telemetry)


def test_words_that_no_list_has_are_counted_as_other(telemetry):
    class Surprise(Exception):
        pass

    telemetry.requested("dance", "unicorns", 200, 0.1)
    telemetry.unhandled(Surprise())
    told = text(telemetry)
    assert 'resource="other",verb="other"' in told
    assert 'unhandled_errors_total{cause="other",replica_role="standalone"} 1.0' in told
    assert "Surprise" not in told


def test_the_age_of_an_event_is_that_of_the_newest_change(telemetry):
    body = {"metadata": {"managedFields": [{"time": "2026-01-01T00:00:00Z"}, {"time": "2026-01-01T00:00:07Z"}, {}]}}
    telemetry.watched("pods", 1767225610.0, body)
    telemetry.watched("pods", 1767225611.0)
    told = text(telemetry)
    assert 'event_lag_seconds_sum{replica_role="standalone",resource="pods"} 3.0' in told
    assert 'event_lag_seconds_count{replica_role="standalone",resource="pods"} 1.0' in told
    assert "last_event_timestamp_seconds" in told


def test_a_replica_shows_its_role_and_only_one(telemetry):
    assert 'finetune_operator_leader{replica_role="standalone"} 1.0' in text(telemetry)
    telemetry.in_flight(1, 5)
    telemetry.leading(False)
    told = text(telemetry)
    assert 'finetune_operator_leader{replica_role="follower"} 0.0' in told
    assert "finetune_operator_leader{" in told
    assert told.count("finetune_operator_leader{") == 1
    assert "finetune_operator_queue_depth{" not in told
    assert not telemetry.leads
    telemetry.leading(True)
    assert 'finetune_operator_leader{replica_role="leader"} 1.0' in text(telemetry)
    assert telemetry.leads


def test_openmetrics_is_spoken_to_those_who_ask_for_it(telemetry):
    told = text(telemetry, OPENMETRICS)
    assert told.endswith("# EOF\n")
    assert " # {" not in told  # no exemplars


def test_every_help_begins_with_its_stability(telemetry):
    helps = [line for line in text(telemetry).splitlines() if line.startswith("# HELP finetune_")]
    assert len(helps) > 20
    assert [line for line in helps if line.split(" ", 3)[3].split("]")[0] not in {"[ALPHA", "[BETA", "[STABLE"}] == []
