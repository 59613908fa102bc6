"""Random histories: users, faults and the real operator in a modelled cluster, in any order; `check` runs many.

After each step the invariants hold, and once all faults end, every job ends or waits with a reason and nothing is
written any more. A failing history is printed as it went, and shrunk.

    FRESH_HISTORIES=1 HISTORIES=20000 .venv/bin/pytest tests/model/test_histories.py    # other ones, and more
"""

import logging
import os

import quiet
from cluster import kueue
from cluster.kinds import CLAIM, JOB, POD
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from shapes import FITS, SHAPES
from simulation import CHILDREN, NAMES, TROUBLE, Simulation

HISTORIES = int(os.environ.get("HISTORIES", "2000"))
STEPS = 30
"""What happens in one history, before everything comes to rest."""

SOME_FIT = some.sampled_from(["it fits"] * 4 + sorted(FITS))
DOORS = some.sampled_from(["on_job", "on_workload", "on_pod"])
VERBS = some.sampled_from(["create", "apply", "delete"])
EARLY = some.sampled_from([0, 0, 2, 4, 8])
"""Requests and answers of passes over new jobs, before an operator's watches have told of anything."""

PICKS = some.integers(0, 3)
POLICIES = some.sampled_from(["Background", "Foreground", "Orphan"])
FAILURES = ["oom", "killed", "evicted", "TrainerError", "DataInvalid", "NonFiniteLoss", "StorageFull"]


class History(RuleBasedStateMachine):
    """What may happen, each as one rule."""

    def __init__(self):
        super().__init__()
        self.story = Simulation()

    @initialize(
        shape=some.sampled_from(sorted(SHAPES)), fits=SOME_FIT, ticks=some.integers(0, 8), goes_on=some.integers(0, 4)
    )
    def a_job_is_applied_first(self, shape, fits, ticks, goes_on):
        self.story.applies("anna", shape, fits)
        if goes_on == 0:
            self.story.applies("bert", "goes on from anna", fits)
        self.story.time_passes(ticks)

    @rule(name=some.sampled_from(NAMES), shape=some.sampled_from(sorted(SHAPES)), fits=SOME_FIT)
    def a_user_applies_a_job(self, name, shape, fits):
        self.story.applies(name, shape, fits)

    @rule(name=some.sampled_from(NAMES), suspend=some.booleans())
    def a_user_suspends_or_resumes(self, name, suspend):
        self.story.changes(name, suspend=suspend)

    @rule(name=some.sampled_from(NAMES))
    def a_user_cancels(self, name):
        self.story.changes(name, cancel=True)

    @rule(name=some.sampled_from(NAMES), limit=some.integers(0, 3))
    def a_user_changes_the_number_of_retries(self, name, limit):
        self.story.changes(name, backoffLimit=limit)

    @rule(name=some.sampled_from(NAMES), seconds=some.sampled_from([5, 60, None]))
    def a_user_changes_the_deadline(self, name, seconds):
        self.story.changes(name, activeDeadlineSeconds=seconds)

    @rule(name=some.sampled_from(NAMES), policy=POLICIES)
    def a_user_deletes_a_job(self, name, policy):
        self.story.deletes(name, policy)

    @rule(
        name=some.sampled_from(NAMES), shape=some.sampled_from(["plain", "on the user's claim"]), works=some.booleans()
    )
    def a_user_makes_a_job_anew(self, name, shape, works):
        self.story.deletes(name, "Background")
        if works:
            self.story.controllers_work()
        self.story.applies(name, shape, "it fits")

    @precondition(lambda self: self.story.operator is not None)
    @rule(name=some.sampled_from(NAMES), verb=VERBS, ticks=some.integers(0, 2))
    def a_user_makes_a_job_anew_in_a_pass(self, name, verb, ticks):
        self.story.steps_to(verb)
        self.story.makes_anew(name, ticks)

    @precondition(lambda self: self.story.operator is not None)
    @rule(verb=VERBS, what=some.sampled_from(sorted(TROUBLE)))
    def a_request_of_a_kind_goes_wrong(self, verb, what):
        self.story.steps_to(verb)
        self.story.trouble(what, 0)

    @rule(name=some.sampled_from(NAMES))
    def a_user_toggles_fast(self, name):
        self.story.toggles(name)

    @rule(name=some.sampled_from(NAMES), trouble=some.sampled_from([None, *sorted(TROUBLE)]))
    def a_user_wants_the_devices_back(self, name, trouble):
        self.story.wants_devices_back(name, trouble)

    @rule(kind=some.sampled_from(["Job", "Job", "Pod"]), pick=PICKS, policy=POLICIES, ticks=some.integers(0, 4))
    def somebody_deletes_what_the_operator_does_not_see(self, kind, pick, policy, ticks):
        self.story.deletes_unseen(CHILDREN[kind], pick, policy, ticks=ticks)

    @rule(kind=some.sampled_from(sorted(CHILDREN)), pick=PICKS, policy=POLICIES)
    def somebody_deletes_by_hand(self, kind, pick, policy):
        self.story.deletes_by_hand(CHILDREN[kind], pick, policy)

    @rule(makes=some.booleans(), deletes=some.integers(0, 3))
    def what_jobs_need_is_made_or_the_namespace_deleted(self, makes, deletes):
        if makes:
            self.story.provides()
        elif deletes == 0:
            self.story.deletes_namespace()

    @precondition(lambda self: self.story.nodes.trainers)
    @rule(pick=PICKS, how=some.sampled_from(FAILURES))
    def a_trainer_fails(self, pick, how):
        self.story.fails(pick, how)

    @precondition(lambda self: self.story.api.all(POD))
    @rule(pick=PICKS, cause=some.sampled_from(["EvictionByEvictionAPI", "PreemptionByScheduler"]))
    def a_pod_is_taken_away(self, pick, cause):
        self.story.takes_away(pick, cause)

    @precondition(lambda self: self.story.nodes.trainers)
    @rule()
    def a_node_is_lost(self):
        self.story.loses_node()

    @rule(
        name=some.sampled_from(NAMES),
        ticks=some.integers(4, 10),
        lifetime=some.integers(1, 4),
        seconds=some.sampled_from([20, 300, 3000]),
    )
    def a_job_trains_on_nodes_that_come_and_go(self, name, ticks, lifetime, seconds):
        self.story.applies(name, "plain", "it fits")
        self.story.time_passes(ticks)
        self.story.nodes_come_and_go(lifetime, seconds)

    @precondition(lambda self: self.story.nodes.lost)
    @rule()
    def lost_nodes_are_forgotten(self):
        self.story.forgets_lost_nodes()

    @rule(room=some.booleans(), image=some.booleans())
    def room_and_image_come_and_go(self, room, image):
        self.story.sets(room=room, image=image)

    @rule(kinds=some.sets(some.sampled_from([JOB, POD, CLAIM]), max_size=1))
    def a_quota_comes_or_goes(self, kinds):
        self.story.limits(kinds)

    @rule(seconds=some.sampled_from([20, 600, 4000]))
    def the_clock_jumps(self, seconds):
        self.story.jumps(seconds)

    @rule(seconds=some.sampled_from([-3600, 0, 0, 3600]))
    def the_operators_clock_is_wrong(self, seconds):
        self.story.skews(seconds)

    @rule(is_open=some.booleans())
    def the_queue_opens_or_closes(self, is_open):
        self.story.opens_queue(is_open=is_open)

    @precondition(lambda self: kueue.waiting(self.story.api) or kueue.holding(self.story.api))
    @rule(moves=some.lists(some.integers(0, 5), min_size=1, max_size=5))
    def the_queue_gives_and_takes_a_place(self, moves):
        for ticks in moves:
            self.story.moves_in_queue()
            self.story.time_passes(ticks)

    @precondition(lambda self: self.story.operator is not None and kueue.holding(self.story.api))
    @rule(count=some.integers(1, 8), which=some.integers(0, 1))
    def the_queue_takes_a_place_in_a_pass(self, count, which):
        self.story.steps(count, which)
        self.story.moves_in_queue()

    @rule()
    def controllers_work(self):
        self.story.controllers_work()
        self.story.tell("controllers work")

    @rule()
    def nodes_work(self):
        self.story.nodes_work()
        self.story.tell("nodes work")

    @rule(ticks=some.sampled_from([1, 1, 2, 5]))
    def time_passes(self, ticks):
        self.story.time_passes(ticks)

    @rule(ticks=some.sampled_from([3, 8, 15]))
    def more_time_passes(self, ticks):
        self.story.time_passes(ticks)

    @rule(seconds=some.sampled_from([30, 60, 400]))
    def much_time_passes(self, seconds):
        self.story.waits(seconds)

    @rule(behind=some.sampled_from([0, 0, 1, 4]), early=EARLY)
    def an_operator_crashes_and_starts(self, behind, early):
        self.story.crashes()
        self.story.starts_operator(behind, early)

    @rule()
    def an_operator_crashes(self):
        self.story.crashes()

    @precondition(lambda self: self.story.operator is not None)
    @rule(count=some.integers(1, 8), which=some.integers(0, 1))
    def the_operator_goes_on(self, count, which):
        self.story.steps(count, which)

    @precondition(lambda self: self.story.operator is not None)
    @rule(count=some.integers(1, 8), which=some.integers(0, 1), what=some.sampled_from(sorted(TROUBLE)))
    def a_request_goes_wrong(self, count, which, what):
        self.story.steps(count, which)
        self.story.trouble(what, which)

    @precondition(lambda self: self.story.operator is not None)
    @rule(count=some.integers(1, 8), which=some.integers(0, 1), behind=some.sampled_from([0, 0, 3]), early=EARLY)
    def the_operator_crashes_in_a_pass(self, count, which, behind, early):
        self.story.operator.deliver_all()
        self.story.steps(count, which)
        self.story.crashes()
        self.story.starts_operator(behind, early)

    @precondition(lambda self: self.story.operator is not None)
    @rule(count=some.integers(1, 8), which=some.integers(0, 1), behind=some.sampled_from([0, 0, 3]), early=EARLY)
    def another_operator_leads(self, count, which, behind, early):
        self.story.operator.deliver_all()
        self.story.steps(count, which)
        self.story.hands_over(behind, early)

    @precondition(lambda self: self.story.former is not None)
    @rule()
    def a_request_of_the_former_leader_arrives(self):
        self.story.request_lands()

    @precondition(lambda self: self.story.operator is not None)
    @rule(door=DOORS, pick=PICKS, newest=some.booleans())
    def the_operator_hears(self, door, pick, newest):
        self.story.hears(door, pick, newest=newest)

    @precondition(lambda self: self.story.operator is not None)
    @rule(door=DOORS, behind=some.sampled_from([None, 0, 2]))
    def a_watch_repeats_or_begins_again(self, door, behind):
        if behind is None:
            self.story.hears_again(door)
        else:
            self.story.lists_again(door, behind)

    def teardown(self):
        try:
            quiet.settle(self.story)
            quiet.check(self.story)
            quiet.stays(self.story)
        except BaseException:
            note("\n".join(["how it went:", *self.story.told]))
            raise


class OtherHistory(History):
    """The same rules, played otherwise: what is drawn follows from a class's name, so two processes share the work."""


def check(count, phases=(Phase.generate, Phase.shrink), kind=History):
    """Run so many histories of a kind; raise what the first that fails raises, shrunk."""
    how = settings(
        max_examples=count,
        stateful_step_count=STEPS,
        derandomize=not os.environ.get("FRESH_HISTORIES"),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=phases,
    )
    logging.disable(logging.CRITICAL)
    try:
        run_state_machine_as_test(kind, settings=how)
    finally:
        logging.disable(logging.NOTSET)


def find_failure(count):
    """Return what the first failing history of so many raises, as it was drawn; None where all end well."""
    try:
        check(count, (Phase.generate,))
    except AssertionError as failure:
        return failure
    return None
