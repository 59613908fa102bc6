"""How jobs wait for their pass."""

import asyncio

from finetune_operator.api.identity import JobKey
from finetune_operator.runtime.queue import FIRST_BACKOFF, LONGEST_BACKOFF, WorkQueue

ONE, OTHER = JobKey("a", "one", "1"), JobKey("a", "other", "2")


def test_a_job_waits_at_most_once():
    async def story():
        queue = WorkQueue()
        queue.add(ONE)
        queue.add(ONE)
        queue.add(OTHER)
        assert queue.waiting == 2
        assert [await queue.take(), await queue.take()] == [ONE, OTHER]

    asyncio.run(story())


def test_news_during_a_pass_gives_one_more_pass_after_it():
    async def story():
        queue = WorkQueue()
        queue.add(ONE)
        key = await queue.take()
        queue.add(ONE)
        queue.add(ONE)
        assert (queue.waiting, queue.running) == (0, 1)
        queue.done(key)
        assert (queue.waiting, queue.running) == (1, 0)

    asyncio.run(story())


def test_new_jobs_go_first_and_still_once():
    async def story():
        queue = WorkQueue()
        queue.add(ONE)
        queue.add(OTHER)
        queue.add(OTHER, first=True)
        queue.add(OTHER)
        assert queue.waiting == 2
        assert [await queue.take(), await queue.take()] == [OTHER, ONE]
        assert queue.waiting == 0

    asyncio.run(story())


def test_jobs_begin_until_something_was_done_for_each():
    async def story():
        queue = WorkQueue()
        queue.add(ONE, first=True)
        queue.add(OTHER, first=True)
        keys = [await queue.take(), await queue.take()]
        told = [queue.beginning]
        queue.begun(keys[0])
        told.append(queue.beginning)
        queue.done(keys[1])  # a pass that failed: it is tried again as any other
        return [*told, queue.beginning]

    assert asyncio.run(story()) == [True, True, False]


def test_a_new_job_that_is_heard_of_in_time_goes_before_those_looked_at_again():
    async def story():
        queue = WorkQueue()
        queue.add(ONE)
        taken = asyncio.create_task(queue.take())
        await asyncio.sleep(0)  # it has woken, and gives way
        queue.add(OTHER, first=True)
        return [await taken, await queue.take()]

    assert asyncio.run(story()) == [OTHER, ONE]


def test_a_job_wakes_one_worker():
    async def story():
        queue, woken = WorkQueue(), []

        async def worker(name):
            woken.append((name, await queue.take()))

        workers = [asyncio.create_task(worker(name)) for name in range(3)]
        await asyncio.sleep(0)
        for key in (ONE, OTHER):
            queue.add(key)
            queue.add(key, first=True)  # still one job
            for _ in range(10):
                await asyncio.sleep(0)
        for left in workers:
            left.cancel()
        return woken

    assert asyncio.run(story()) == [(0, ONE), (1, OTHER)]


def test_others_get_their_turn_before_a_job_is_looked_at_again_however_many_wait():
    async def story():
        queue, turns = WorkQueue(), []
        queue.add(ONE)
        queue.add(OTHER)

        async def other():
            while True:
                turns.append(queue.waiting)
                await asyncio.sleep(0)

        answer = asyncio.create_task(other())
        await queue.take()
        await queue.take()
        answer.cancel()
        assert turns == [2, 1]

    asyncio.run(story())


def test_the_patience_that_a_server_asks_for_is_kept():
    async def story():
        queue = WorkQueue()
        assert 30 < queue.retry(ONE, at_least=30.0) <= 30 + FIRST_BACKOFF
        queue.forget(ONE)

    asyncio.run(story())


def test_a_worker_that_waits_is_woken():
    async def story():
        queue = WorkQueue()
        taken = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        queue.add(ONE)
        assert await asyncio.wait_for(taken, 1) == ONE

    asyncio.run(story())


def test_the_sooner_of_two_later_passes_counts():
    async def story():
        queue = WorkQueue()
        queue.add_after(ONE, 3600)
        queue.add_after(ONE, 0.01)
        queue.add_after(ONE, 7200)
        assert await asyncio.wait_for(queue.take(), 1) == ONE

    asyncio.run(story())


def test_failures_back_off_up_to_a_bound_and_success_forgets_them():
    async def story():
        queue = WorkQueue()
        waits = [queue.retry(ONE) for _ in range(12)]
        assert waits[0] <= 0.5
        assert LONGEST_BACKOFF / 2 <= waits[-1] <= LONGEST_BACKOFF
        queue.succeeded(ONE)
        assert queue.retry(ONE) <= 0.5
        queue.forget(ONE)
        assert queue.waiting == 0

    asyncio.run(story())


def test_until_all_is_listed_only_new_jobs_are_handed_out_as_often_as_they_ask():
    async def story():
        queue = WorkQueue()
        queue.hold_back()
        queue.add(ONE)
        assert queue.waiting == 0
        queue.add(OTHER, first=True)
        key = await queue.take()
        queue.done(key)
        queue.add(OTHER)  # for its status
        assert (key, await queue.take(), queue.waiting) == (OTHER, OTHER, 0)
        queue.done(OTHER)
        queue.release()
        assert (await queue.take(), queue.waiting) == (ONE, 0)
        queue.add(OTHER)
        assert queue.waiting == 1

    asyncio.run(story())


def test_what_was_held_back_waits_once_and_behind_what_is_new():
    async def story():
        queue = WorkQueue()
        queue.hold_back()
        queue.add(ONE)
        queue.add(ONE)
        queue.add(OTHER, first=True)
        queue.release()
        assert [await queue.take(), await queue.take(), queue.waiting] == [OTHER, ONE, 0]

    asyncio.run(story())
