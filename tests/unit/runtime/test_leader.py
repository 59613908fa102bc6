"""When an operator leads, and when it stops: a Lease in memory, and clocks that the test moves."""

import asyncio
import dataclasses
import itertools

import pytest
from finetune_operator.cluster.errors import Conflict, Unreachable
from finetune_operator.cluster.lease import NOBODYS
from finetune_operator.runtime.leader import (
    LEASE_SECONDS,
    RENEW_DEADLINE,
    RETRY_SECONDS,
    Clocks,
    Elector,
    LeadershipLost,
)


class Time:
    """Time that passes only when somebody sleeps; `during` are things that happen at a moment."""

    def __init__(self):
        self.steady = 1000.0
        self.day = 1_800_000_000.0
        self.during = []

    def at(self, seconds, happens):
        self.during.append((self.steady + seconds, happens))

    def pass_by(self, seconds):
        self.steady += seconds
        self.day += seconds
        due = [each for each in self.during if each[0] <= self.steady]
        self.during = [each for each in self.during if each[0] > self.steady]
        for _moment, happens in due:
            happens()

    async def sleep(self, seconds):
        self.pass_by(seconds)

    def clocks(self):
        return Clocks(steady=lambda: self.steady, now=lambda: self.day, sleep=self.sleep)


class Server:
    """One Lease with optimistic concurrency, as the API server keeps it, and requests that may take time or fail."""

    def __init__(self, time):
        self.time = time
        self.lease = NOBODYS
        self.versions = itertools.count(1)
        self.down = False
        self.lost_answers = 0
        self.slow = 0.0
        self.writes = 0

    def stored(self, **fields):
        self.lease = dataclasses.replace(self.lease, **fields, version=str(next(self.versions)))

    async def read(self, seconds):
        self._answer(seconds)
        return self.lease

    async def write(self, lease, seconds):
        self._answer(seconds)
        if lease.version != self.lease.version:
            raise Conflict(409, "the object has been modified")
        self.writes += 1
        self.lease = dataclasses.replace(lease, version=str(next(self.versions)))
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unreachable(0, "the answer was lost")
        return self.lease

    def _answer(self, seconds):
        self.time.pass_by(min(self.slow, seconds))
        if self.down or self.slow > seconds:
            raise Unreachable(0, "no answer")


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def server(time):
    return Server(time)


@pytest.fixture
def candidate(time, server):
    return lambda name: Elector(server, name, time.clocks())


def lead(elector):
    asyncio.run(elector.acquire())
    return elector


def hold(elector):
    with pytest.raises(LeadershipLost):
        asyncio.run(elector.hold())


def test_the_first_candidate_leads_at_once(candidate, server, time):
    one = lead(candidate("one"))
    assert one.leading()
    assert (server.lease.holder, server.lease.seconds, server.lease.transitions) == ("one", LEASE_SECONDS, 1)
    assert one.remaining() == RENEW_DEADLINE
    assert time.steady == 1000.0


def test_before_it_leads_nothing_may_be_written(candidate):
    one = candidate("one")
    assert not one.leading()
    assert one.remaining() == 0


def test_a_second_candidate_waits_while_the_first_renews(candidate, server, time):
    one, two = lead(candidate("one")), candidate("two")
    for _ in range(30):
        time.pass_by(RETRY_SECONDS)
        assert asyncio.run(one.attempt())
        assert not asyncio.run(two.attempt())
    assert server.lease.holder == "one"


def test_a_renewal_is_one_request_and_no_change_of_leader(candidate, server, time):
    one = lead(candidate("one"))
    acquired = server.lease.acquired
    time.pass_by(RETRY_SECONDS)
    server.read = None
    assert asyncio.run(one.attempt())
    assert (server.lease.transitions, server.lease.acquired, server.lease.renewed) == (1, acquired, time.day)


def test_a_leader_that_died_is_replaced_within_the_bound(candidate, server, time):
    lead(candidate("one"))
    died = time.steady
    two = lead(candidate("two"))
    assert two.leading()
    assert LEASE_SECONDS <= time.steady - died < 20
    assert server.lease.transitions == 2


def test_a_lease_that_is_given_back_is_taken_at_the_next_look(candidate, server, time):
    one, two = lead(candidate("one")), candidate("two")
    assert not asyncio.run(two.attempt())
    asyncio.run(one.release())
    assert not one.leading()
    assert server.lease.holder == ""
    assert asyncio.run(two.attempt())
    assert two.leading()


def test_what_is_not_led_is_not_given_back(candidate, server):
    lead(candidate("one"))
    asyncio.run(candidate("two").release())
    assert server.lease.holder == "one"


def test_giving_back_what_cannot_be_reached_ends_all_the_same(candidate, server):
    one = lead(candidate("one"))
    server.down = True
    asyncio.run(one.release())
    assert not one.leading()


def test_two_leaders_never_write_at_the_same_time(candidate, server, time):
    """The first is cut off right after a renewal; the second begins when the first has long stopped."""
    one, two = lead(candidate("one")), candidate("two")
    assert not asyncio.run(two.attempt())
    both = []
    for _tick in range(int(2 * LEASE_SECONDS / 0.1)):
        time.pass_by(0.1)
        asyncio.run(two.attempt())
        both.append((one.leading(), two.leading()))
    assert (True, True) not in both
    assert both[-1] == (False, True)
    alone = sum(pair == (False, False) for pair in both) * 0.1
    assert alone == pytest.approx(LEASE_SECONDS - RENEW_DEADLINE, abs=0.3)


def test_a_leader_that_cannot_renew_ends_at_its_deadline(candidate, server, time):
    one = lead(candidate("one"))
    began = time.steady
    server.down = True
    hold(one)
    assert time.steady - began == pytest.approx(RENEW_DEADLINE, abs=0.01)


def test_a_leader_behind_a_black_hole_may_write_no_longer_than_its_deadline(candidate, server, time):
    one = lead(candidate("one"))
    began = time.steady
    server.slow = 3600.0
    hold(one)
    assert one.remaining() == 0
    assert RENEW_DEADLINE <= time.steady - began < LEASE_SECONDS


def test_a_short_outage_costs_nothing(candidate, server, time):
    one = lead(candidate("one"))
    server.down = True
    time.at(RENEW_DEADLINE - RETRY_SECONDS, lambda: setattr(server, "down", False))
    time.at(60, lambda: setattr(server, "down", True))
    began = time.steady
    hold(one)
    assert time.steady - began > 60


def test_a_stolen_lease_stops_the_leader_at_its_next_renewal(candidate, server, time):
    one = lead(candidate("one"))
    server.stored(holder="thief")
    began = time.steady
    hold(one)
    assert not one.leading()
    assert time.steady - began <= RETRY_SECONDS
    assert server.lease.holder == "thief"


def test_a_deleted_lease_that_another_took_stops_the_leader(candidate, server):
    one = lead(candidate("one"))
    server.lease = NOBODYS
    lead(candidate("two"))
    assert not asyncio.run(one.attempt())
    assert not one.leading()


def test_somebody_who_annotates_the_lease_does_not_end_the_leader(candidate, server, time):
    one = lead(candidate("one"))
    server.stored()
    time.pass_by(RETRY_SECONDS)
    assert not asyncio.run(one.attempt())
    assert one.leading()
    assert asyncio.run(one.attempt())


def test_a_renewal_whose_answer_was_lost_is_made_good(candidate, server, time):
    one = lead(candidate("one"))
    server.lost_answers = 1
    with pytest.raises(Unreachable):
        asyncio.run(one.attempt())
    assert one.leading()
    asyncio.run(one.attempt())
    assert asyncio.run(one.attempt())
    assert server.lease.transitions == 1


def test_of_two_that_grab_at_the_same_moment_one_leads(candidate, server):
    one, two = candidate("one"), candidate("two")
    read = server.read

    async def read_then_be_overtaken(seconds):
        found = await read(seconds)
        server.read = read
        await two.attempt()
        return found

    server.read = read_then_be_overtaken
    assert not asyncio.run(one.attempt())
    assert (one.leading(), two.leading()) == (False, True)


def test_a_candidate_waits_for_an_api_server_that_is_away(candidate, server, time):
    server.down = True
    time.at(30, lambda: setattr(server, "down", False))
    began = time.steady
    assert lead(candidate("one")).leading()
    assert time.steady - began >= 30


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_clock_that_is_set_changes_nothing(candidate, server, time, jump):
    one, two = lead(candidate("one")), candidate("two")
    assert not asyncio.run(two.attempt())
    time.day += jump
    assert one.leading()
    assert not asyncio.run(two.attempt())
    assert asyncio.run(one.attempt())
    assert not asyncio.run(two.attempt())


def test_the_time_in_a_lease_is_not_believed(candidate, server, time):
    """A leader whose clock is a day behind writes renewals that look long expired."""
    server.stored(holder="one", seconds=LEASE_SECONDS, renewed=time.day - 86400)
    two = candidate("two")
    assert not asyncio.run(two.attempt())
    time.pass_by(LEASE_SECONDS - 1)
    server.stored(renewed=time.day - 86400)
    assert not asyncio.run(two.attempt())


def test_a_process_that_was_frozen_may_not_write_when_it_wakes(candidate, time):
    one = lead(candidate("one"))
    time.pass_by(RENEW_DEADLINE)
    assert not one.leading()


def test_another_leaders_own_duration_is_respected(candidate, server, time):
    server.stored(holder="patient", seconds=60, renewed=time.day)
    two = candidate("two")
    assert not asyncio.run(two.attempt())
    time.pass_by(59)
    assert not asyncio.run(two.attempt())
    time.pass_by(2)
    assert asyncio.run(two.attempt())
