import asyncio

import pytest

from bonafide.serving.v2.turns import Turns


async def hold(turns: Turns, seconds: float) -> bool:
    """Whether a turn of that length was had to its end."""
    try:
        async with turns.turn():
            await asyncio.sleep(seconds)
    except TimeoutError:
        return False
    return True


def run(*seconds: float, most: int = 2, patience: float = 2.0, fair: float = 0.2) -> list[bool]:
    async def main():
        turns = Turns(most, patience, fair)
        return await asyncio.gather(*(hold(turns, each) for each in seconds))

    return asyncio.run(main())


def test_who_is_alone_has_all_the_time():
    assert run(0.6, 0.6) == [True, True]


def test_who_does_nothing_is_cut_off_when_others_wait():
    assert run(9, 9, 0.01, 0.01) == [False, False, True, True]


def test_those_who_come_after_are_bounded_as_well():
    assert run(9, 9, 9, 9, 0.01) == [False, False, False, False, True]


def test_who_ends_in_a_fair_time_is_never_cut_off():
    assert run(*[0.1] * 12) == [True] * 12


def test_nobody_waits_longer_than_his_patience():
    assert run(9, 9, 0.01, patience=0.1, fair=5) == [False, False, False]


def test_a_cancelled_turn_makes_room():
    async def main():
        turns = Turns(1, 5, 5)
        task = asyncio.create_task(hold(turns, 9))
        await asyncio.sleep(0.01)
        task.cancel()
        return await hold(turns, 0)

    assert asyncio.run(main())


def test_a_turn_that_is_over_at_the_same_moment_harms_nobody():
    """The timeout of one turn has expired, and its task has not run yet, when the next one comes."""

    async def main():
        turns = Turns(1, 0.05, 0.01)
        first = asyncio.create_task(hold(turns, 9))
        await asyncio.sleep(0)
        (patience,) = turns._begun
        patience._on_timeout()
        second = asyncio.create_task(hold(turns, 0))
        return await asyncio.gather(first, second)

    assert asyncio.run(main()) == [False, True]


@pytest.mark.parametrize("most", [1, 4])
def test_turns_are_never_more_than_may_be(most):
    async def main():
        turns, now, peak = Turns(most, 5, 0.05), 0, 0

        async def one():
            nonlocal now, peak
            async with turns.turn():
                now += 1
                peak = max(peak, now)
                await asyncio.sleep(0.005)
                now -= 1

        await asyncio.gather(*(one() for _ in range(20)))
        return peak

    assert asyncio.run(main()) == most
