"""How long plans take, in processor time of a process of its own: no neighbour's load and no coverage is in it."""

import json
import os
import subprocess
import sys

import pytest

PLAN, OPEN = 0.020, 0.200
"""Seconds that a plan may take (median), and one that is free to choose among all accelerators and methods."""

ENDS_WITHIN = 120

MEASURED = """
import json, statistics, time
from finetune_operator.api.v1alpha1.spec import FineTuneJobSpec
from finetune_operator.planning.plan import plan
from finetune_operator.planning.profiles import Profiles
from speed import OPEN, PLANS

def seconds(fields):
    spec, profiles, times = FineTuneJobSpec.model_validate(fields), Profiles(), []
    plan(spec, profiles)
    for _repeat in range(5):
        start = time.process_time()
        plan(spec, profiles)
        times.append(time.process_time() - start)
    return statistics.median(times)

print(json.dumps([{name: seconds(fields) for name, fields in jobs.items()} for jobs in (PLANS, OPEN)]))
"""


@pytest.fixture(scope="module")
def times():
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED],
        check=True,
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN,
        env=clean | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return json.loads(done.stdout)


def test_a_plan_is_made_at_once(times):
    plans = sorted(times[0].values())
    assert plans[len(plans) // 2] < PLAN


def test_a_plan_that_may_choose_everything_is_made_while_nobody_waits(times):
    assert {name: took for name, took in times[1].items() if took >= OPEN} == {}
