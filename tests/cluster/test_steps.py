"""Steps end: with success, with an explanation, or at their deadline."""

import sys

import engine
import kind
import pytest
import steps

pytestmark = pytest.mark.usefixtures("own_cache")


def a_step(code, **changes):
    values = {"title": "try it", "argv": (sys.executable, "-c", code), "usually": "1 s", "deadline": 20.0}
    return steps.Step(**{**values, **changes})


def test_a_step_says_what_it_does_how_long_it_takes_and_where_its_log_is(capsys):
    step = a_step("print('hello')")
    steps.run(step)
    assert f"-> try it (usually 1 s; log {step.log})" in capsys.readouterr().err
    assert step.log.read_text() == "hello\n"


def test_a_failed_step_shows_the_end_of_its_log_and_the_way_out():
    with pytest.raises(steps.Failed, match=r"(?s)exit code 3.*\| the reason.*do this instead"):
        steps.run(a_step("print('the reason'); raise SystemExit(3)", hint="do this instead"))


def test_a_step_is_ended_at_its_deadline():
    with pytest.raises(steps.Failed, match="not done within 0 s"):
        steps.run(a_step("import time; time.sleep(60)", deadline=0.3))


def test_a_missing_program_is_named_in_one_line():
    with pytest.raises(steps.Failed, match=r"^try it: no-such-program is not installed\. get it there$"):
        steps.run(a_step("", argv=("no-such-program",), hint="get it there"))


def test_asking_a_missing_program_is_no_answer():
    assert steps.ask(["no-such-program"]) is None


def test_a_machine_without_cap_sys_resource_is_recognised():
    assert engine.lacks_sys_resource("000001fffeffffff")
    assert not engine.lacks_sys_resource("000001ffffffffff")


def test_an_old_lease_is_not_mistaken_for_a_living_node():
    renewed = "2026-05-01T12:00:00.000000Z"
    noon = 1777636800.0
    assert kind.renewed_after(renewed, noon - 10)
    assert not kind.renewed_after(renewed, noon + 1)
