from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import partial

import pytest

from api.storage.database.refusals import StorageBusy, StorageClosed
from api.storage.group_commit import LARGEST_GROUP, GroupCommit


class Ledger:
    """Commits slowly on demand: `gate` holds every commit up until it is set."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def commit(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.gate.wait()
        if 13 in items:
            raise RuntimeError("thirteen")
        self.groups.append(list(items))
        return [ValueError(f"{item} is negative") if item < 0 else item * 10 for item in items]


async def held_up(ledger: Ledger, writer: GroupCommit[int, int]) -> asyncio.Task[int]:
    """A write of 0 whose commit has begun and does not end before the gate opens."""
    ledger.gate.clear()
    task = asyncio.create_task(writer.write(0))
    await asyncio.sleep(0)
    while len(writer):
        await asyncio.sleep(0)
    return task


def test_what_comes_during_a_commit_goes_into_the_next_one_together_and_in_order() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer: GroupCommit[int, int] = GroupCommit(ledger.commit)
        first = await held_up(ledger, writer)
        rest = [asyncio.create_task(writer.write(number)) for number in range(1, 10)]
        await asyncio.sleep(0)
        assert len(writer) == 9
        ledger.gate.set()
        assert await asyncio.gather(first, *rest) == [number * 10 for number in range(10)]
        assert ledger.groups == [[0], list(range(1, 10))]
        await writer.close()

    asyncio.run(scenario())


def test_no_group_is_larger_than_the_largest() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer: GroupCommit[int, int] = GroupCommit(ledger.commit)
        await asyncio.gather(*(writer.write(100 + number) for number in range(2 * LARGEST_GROUP + 1)))
        assert [len(group) for group in ledger.groups] == [LARGEST_GROUP, LARGEST_GROUP, 1]
        await writer.close()

    asyncio.run(scenario())


def test_an_item_that_fails_takes_no_other_with_it() -> None:
    async def scenario() -> None:
        writer: GroupCommit[int, int] = GroupCommit(Ledger().commit)
        outcomes = await asyncio.gather(*map(writer.write, (1, -2, 3)), return_exceptions=True)
        assert outcomes[0] == 10
        assert isinstance(outcomes[1], ValueError)
        assert outcomes[2] == 30
        await writer.close()

    asyncio.run(scenario())


def test_a_commit_that_breaks_tells_all_its_waiters_and_the_next_one_goes_on() -> None:
    async def scenario() -> None:
        writer: GroupCommit[int, int] = GroupCommit(Ledger().commit)
        broken = await asyncio.gather(*map(writer.write, (12, 13)), return_exceptions=True)
        assert [str(reason) for reason in broken] == ["thirteen", "thirteen"]
        assert await writer.write(1) == 10
        await writer.close()

    asyncio.run(scenario())


def test_beyond_the_longest_queue_waiters_are_refused_and_the_others_are_written() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer: GroupCommit[int, int] = GroupCommit(ledger.commit, longest_queue=2)
        first = await held_up(ledger, writer)
        waiting = [asyncio.create_task(writer.write(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(StorageBusy, match="2 records"):
            await writer.write(3)
        ledger.gate.set()
        assert await asyncio.gather(first, *waiting) == [0, 10, 20]
        await writer.close()

    asyncio.run(scenario())


def test_a_waiter_that_goes_away_in_time_takes_its_item_back_and_disturbs_nobody() -> None:
    async def scenario() -> None:
        ledger, taken = Ledger(), []
        writer: GroupCommit[int, int] = GroupCommit(ledger.commit)
        first = await held_up(ledger, writer)
        leaving, staying = (
            asyncio.create_task(writer.write(number, partial(taken.append, number))) for number in (1, 2)
        )
        await asyncio.sleep(0)
        leaving.cancel()
        ledger.gate.set()
        assert await asyncio.gather(first, staying) == [0, 20]
        assert ledger.groups == [[0], [2]]
        assert taken == [2]
        await writer.close()

    asyncio.run(scenario())


def test_an_item_that_is_taken_is_written_and_its_waiter_was_told() -> None:
    async def scenario() -> None:
        ledger, taken = Ledger(), []
        writer: GroupCommit[int, int] = GroupCommit(ledger.commit)
        ledger.gate.clear()
        leaving = asyncio.create_task(writer.write(1, partial(taken.append, 1)))
        while not taken:
            await asyncio.sleep(0)
        leaving.cancel()
        ledger.gate.set()
        await writer.close()
        assert ledger.groups == [[1]]

    asyncio.run(scenario())


def test_closing_does_not_wait_for_waiters_that_went_away() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer: GroupCommit[int, int] = GroupCommit(ledger.commit)
        first = await held_up(ledger, writer)
        leaving = asyncio.create_task(writer.write(1))
        await asyncio.sleep(0)
        leaving.cancel()
        ledger.gate.set()
        await writer.close()
        assert first.done()
        assert ledger.groups == [[0]]

    asyncio.run(scenario())


def test_closing_waits_for_what_was_begun_and_refuses_what_comes_after() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writer: GroupCommit[int, int] = GroupCommit(ledger.commit)
        first = await held_up(ledger, writer)
        second = asyncio.create_task(writer.write(1))
        await asyncio.sleep(0)
        closing = asyncio.create_task(writer.close())
        await asyncio.sleep(0)
        with pytest.raises(StorageClosed):
            await writer.write(2)
        ledger.gate.set()
        await closing
        assert first.done()
        assert second.done()
        assert ledger.groups == [[0], [1]]

    asyncio.run(scenario())
