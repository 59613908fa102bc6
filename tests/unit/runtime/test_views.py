"""What the dashboards see of the store's jobs."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
from finetune_operator.api.identity import JobKey
from finetune_operator.cluster.store import Store
from finetune_operator.planning.profiles import Profiles
from finetune_operator.runtime.views import Sight, prices
from finetune_operator.telemetry.jobs import EndView
from finetune_trainer.contract import Progress
from stored_jobs import BEGAN, CREATED, SAID, SPEC, STARTED, a_body, a_pod, scraped, seen

SCRAPE_SECONDS = 0.3
"""Longest scrape of 2,000 jobs from the store, in CPU time; usually 0.1."""


@pytest.fixture
def store():
    return Store()


def only(store):
    (view,) = seen(store)
    return view


def test_a_running_job_is_seen_with_all_that_is_known(store):
    store.keep_job(a_body())
    store.keep_pod(a_pod())
    view = only(store)
    assert (view.phase, view.method, view.gpu_type, view.gpus) == ("Running", "qlora", "nvidia-l4", 2)
    assert (view.dataset_kind, view.queue, view.task) == ("configMap", "gpus", "chat")
    assert (view.progress, view.step, view.attempt) == (0.4, 12, 2)
    assert (view.created, view.started, view.admitted) == (BEGAN, BEGAN + 60, BEGAN + 60)
    assert view.eta == BEGAN + 180
    assert [(pod.name, pod.node, pod.rank) for pod in view.pods] == [("reviews-2-x", "node-a", 0)]
    assert [(one.type, one.status) for one in view.conditions] == [("Running", "True"), ("Suspended", "False")]


def test_all_pods_of_the_newest_attempt_are_seen_so_that_gpus_of_every_node_can_be_joined(store):
    store.keep_job(a_body())
    for name, attempt, rank in (("b", 2, 1), ("a", 2, 0), ("c", 2, 2), ("old", 1, 0)):
        store.keep_pod(a_pod(name, attempt=attempt, rank=rank))
    assert [(pod.name, pod.rank) for pod in only(store).pods] == [("a", 0), ("b", 1), ("c", 2)]


@pytest.mark.parametrize(("phase", "wanted"), [("Queued", 2), ("Running", 2), ("Suspended", 0), ("Failed", 0)])
def test_devices_are_asked_for_by_jobs_that_wait_too(store, phase, wanted):
    store.keep_job(a_body(phase=phase))
    assert only(store).wanted == wanted


def test_the_device_time_of_all_attempts_is_known_while_the_last_one_goes_on(store):
    over = {"number": 1, "startTime": CREATED, "endTime": STARTED, "reason": "Preempted"}
    store.keep_job(a_body(attempts=[over, {"number": 2, "startTime": SAID}]))
    view = only(store)
    assert view.wanted == 2
    assert (view.used, view.holds_since) == (120.0, BEGAN + 120)
    store.keep_job(a_body(phase="Restarting", attempts=[over]))
    assert (only(store).used, only(store).holds_since) == (120.0, None)


def test_the_end_of_an_attempt_is_seen_with_its_reason_while_the_next_one_runs(store):
    over = {"number": 1, "startTime": CREATED, "endTime": STARTED, "reason": "HostOutOfMemory"}
    store.keep_job(a_body(attempts=[over, {"number": 2, "startTime": SAID}]))
    assert only(store).ended == EndView("HostOutOfMemory", BEGAN + 60)


def test_an_attempt_that_is_being_ended_has_not_ended(store):
    store.keep_job(a_body(attempts=[{"number": 1, "startTime": CREATED, "reason": "Suspended"}]))
    assert only(store).ended is None


def test_a_job_that_holds_nothing_shows_no_devices_and_no_time_left(store):
    store.keep_job(a_body(phase="Suspended"))
    store.keep_pod(a_pod())
    view = only(store)
    assert (view.gpus, view.eta, view.pods) == (0, None, ())


def test_a_job_that_nobody_has_looked_at_is_pending(store):
    store.keep_job({"metadata": a_body()["metadata"], "spec": SPEC})
    view = only(store)
    assert (view.phase, view.method, view.progress, view.attempt, view.started) == ("Pending", "none", None, None, None)


def test_the_trainer_knows_best_when_its_checkpoint_was_complete(store):
    key = JobKey("team", "reviews", "reviews")
    store.keep_job(a_body(checkpoint={"step": 10, "time": STARTED, "resumable": True}))
    assert only(store).checkpoint == BEGAN + 60
    store.keep_progress(key, Progress(checkpoint_step=10, checkpoint_at=BEGAN + 75))
    assert only(store).checkpoint == BEGAN + 75


def test_a_queue_tells_when_it_admitted_the_job(store):
    admitted = {"type": "Admitted", "status": "True", "reason": "Admitted", "lastTransitionTime": SAID}
    store.keep_job(a_body(conditions=[admitted]))
    assert only(store).admitted == BEGAN + 120
    store.keep_job(a_body(conditions=[admitted | {"status": "False"}]))
    assert only(store).admitted is None


def test_prices_are_the_administrators_else_the_cheapest_of_the_catalog():
    catalogs = prices(Profiles())
    assert 0 < catalogs["nvidia-t4"] < 0.6
    assert "cpu" not in catalogs
    own = Profiles.model_validate(
        {
            "hardware": {
                "big": {"accelerator": "nvidia-t4", "devicesPerNode": 4, "pricePerHour": 2.0},
                "small": {"accelerator": "cpu", "pricePerHour": 0.1},
            },
            "prices": {"g6.xlarge": 0.2, "g6.2xlarge": 0.01},
        }
    )
    ours = prices(own)
    assert (ours["nvidia-t4"], ours["cpu"], ours["nvidia-l4"]) == (0.5, 0.1, 0.01)


def test_2000_jobs_are_scraped_from_the_store_in_time():
    alone = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))  # no tracer, no others' objects
    with alone as process:
        text, seconds = process.submit(scraped, 2000, times=5).result()
    assert b"finetune_metrics_jobs_dropped 1500.0" in text
    assert seconds < SCRAPE_SECONDS


def test_a_scrape_shows_the_store_as_it_was_when_it_was_looked_at(store):
    for number in range(3):
        store.keep_job(a_body(f"job-{number}"))
    sight = Sight(store)
    assert list(sight.views()) == []
    sight.take()
    shown = sight.views()
    first = next(shown)
    store.forget_job(JobKey("team", "job-1", "job-1"))
    store.keep_job(a_body("job-3"))
    store.keep_job(
        a_body("job-2", phase="Failed") | {"metadata": a_body("job-2")["metadata"] | {"resourceVersion": "2"}}
    )
    assert [(one.name, one.phase) for one in (first, *shown)] == [(f"job-{n}", "Running") for n in range(3)]
