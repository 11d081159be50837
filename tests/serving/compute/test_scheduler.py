import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.errors import ImageError
from bonafide.model.runtime import OnnxModel
from bonafide.serving.compute import engine as compute
from bonafide.serving.compute.engine import Engine, Scored
from bonafide.serving.compute.scheduler import Capacity, Scheduler
from bonafide.serving.errors import Overloaded
from tests import packages, tables

GREY = packages.image((90, 90, 90))


class Held:
    """An engine that answers a file's first byte, when it is let; it notes each image."""

    def __init__(self, free: bool = True) -> None:
        self.free = threading.Event()
        self.run: list[int] = []
        if free:
            self.free.set()

    def is_brief(self, _) -> bool:
        return False

    def score(self, image: bytes, outputs) -> Scored:
        if not image:
            raise ImageError("empty", "the file is empty")
        assert self.free.wait(10)
        self.run.append(image[0])
        return Scored({name: np.full((1, 1), image[0], np.float32) for name in outputs}, 0.001, 0.001)


@pytest.fixture
def scheduler():
    made = Scheduler(Capacity(threads=2, queue=64))
    yield made
    made.close()


def ask(scheduler: Scheduler, engine, images, outputs=("probabilities",)):
    return scheduler.run(engine, images, outputs)


async def taken(engine: Held, scheduler: Scheduler, workers: int = 2) -> list[asyncio.Task]:
    """Requests that keep the workers busy until the engine is freed."""
    tasks = []
    for _ in range(workers):
        tasks.append(asyncio.create_task(ask(scheduler, engine, [b"\1"])))
        await asyncio.sleep(0.05)
    return tasks


def test_answers_are_those_of_the_engine_alone(signed):
    engine = Engine(signed.path, signed.public_key)
    images = [packages.image((25 * number, 90, 200 - 9 * number)) for number in range(9)]
    scheduler = Scheduler(Capacity.of(2))
    answered = asyncio.run(ask(scheduler, engine, images, ("probabilities", "heatmap")))
    scheduler.close()
    alone = [engine.score(image, ("probabilities", "heatmap")).scores for image in images]
    assert set(answered.scores) == {"probabilities", "heatmap"}
    for name, values in answered.scores.items():
        np.testing.assert_array_equal(values, np.concatenate([each[name] for each in alone]))
    assert answered.decode > 0
    assert answered.queue >= 0
    assert answered.infer > 0


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(1, 255), min_size=1, max_size=12), min_size=1, max_size=12), st.data())
def test_every_request_gets_its_own_answers_in_order(requests, data):
    engines = [Held(), Held()]
    capacity = Capacity(threads=2, queue=200)
    chosen = [data.draw(st.sampled_from(engines)) for _ in requests]

    async def main():
        scheduler = Scheduler(capacity)
        asked = [
            ask(scheduler, engine, [bytes([value]) for value in values])
            for engine, values in zip(chosen, requests, strict=True)
        ]
        answers = await asyncio.gather(*asked)
        scheduler.close()
        return answers

    for values, answered in zip(requests, asyncio.run(main()), strict=True):
        assert answered.scores["probabilities"][:, 0].tolist() == values
    assert sum(len(engine.run) for engine in engines) == sum(map(len, requests))


def test_a_full_queue_refuses_says_when_to_come_back_and_recovers(scheduler):
    async def main():
        engine = Held(free=False)
        waiting = asyncio.create_task(ask(scheduler, engine, [b"\1"] * 60))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="60 images are waiting, 64 may") as caught:
            await ask(scheduler, engine, [b"\2"] * 5)
        assert caught.value.reason == "queue-full"
        assert caught.value.retry_after >= 1
        engine.free.set()
        await waiting
        answered = await ask(scheduler, engine, [b"\2"] * 5)
        assert answered.scores["probabilities"].tolist() == [[2]] * 5

    asyncio.run(main())


def test_a_request_past_its_deadline_is_given_up_and_its_images_are_not_run():
    async def main():
        scheduler = Scheduler(Capacity(threads=1, queue=64, deadline_seconds=0.3))
        engine = Held(free=False)
        held = await taken(engine, scheduler, workers=1)
        with pytest.raises(Overloaded) as caught:
            await ask(scheduler, engine, [b"\2"] * 3)
        assert caught.value.reason == "deadline"
        with pytest.raises(Overloaded):
            await held[0]
        await asyncio.sleep(0)  # the loop passes the cancelling on
        engine.free.set()
        answered = await ask(scheduler, engine, [b"\3"])
        scheduler.close()
        assert answered.scores["probabilities"].tolist() == [[3]]
        assert len(engine.run) == 2

    asyncio.run(main())


def test_a_client_that_leaves_frees_its_places_and_its_images_are_not_run(scheduler):
    async def main():
        engine = Held(free=False)
        held = await taken(engine, scheduler)
        leaving = asyncio.create_task(ask(scheduler, engine, [b"\2"] * 60))
        await asyncio.sleep(0.05)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        staying = asyncio.create_task(ask(scheduler, engine, [b"\3"] * 60))
        await asyncio.sleep(0.05)
        engine.free.set()
        await asyncio.gather(*held, staying)
        assert len(engine.run) == 62

    asyncio.run(main())


def test_one_bad_image_fails_its_request_alone(scheduler):
    async def main():
        bad, good = await asyncio.gather(
            ask(scheduler, Held(), [b"\1", b"", b"\1"]),
            ask(scheduler, Held(), [b"\7"]),
            return_exceptions=True,
        )
        assert str(bad) == "image[1]: empty: the file is empty"
        assert good.scores["probabilities"].tolist() == [[7]]

    asyncio.run(main())


def test_a_model_that_fails_fails_its_request_and_nothing_after(scheduler, monkeypatch):
    async def main():
        engine = Held()
        with monkeypatch.context() as broken:
            broken.setattr(engine, "score", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await ask(scheduler, engine, [b"\1"])
        assert (await ask(scheduler, engine, [b"\4"])).scores["probabilities"].tolist() == [[4]]

    asyncio.run(main())


def test_pixels_of_any_size_are_fitted(scheduler, signed):
    async def main():
        engine = Engine(signed.path, signed.public_key)
        pixels = np.full((2, 40, 30, 3), (10, 200, 30), np.uint8)
        answered = await ask(scheduler, engine, pixels)
        np.testing.assert_allclose(
            answered.scores["probabilities"], packages.probabilities(pixels), atol=1e-5
        )

    asyncio.run(main())


@pytest.mark.parametrize(
    ("quick", "rows", "here"),
    [(1, 1, True), (1, compute.FEW, True), (1, compute.FEW + 1, False), (0, 1, False)],
    ids=["one row", "a few", "many", "a slow model"],
)
def test_a_few_rows_of_a_quick_model_are_not_handed_over(scheduler, fruit, monkeypatch, quick, rows, here):
    monkeypatch.setattr(compute, "QUICK_SECONDS", quick)
    engine = Engine(fruit.path, fruit.public_key, threads=1)
    engine.warm()
    block, threads, score = np.ones((rows, 3), np.float32), [], engine.score

    def noted(*given):
        threads.append(threading.current_thread())
        return score(*given)

    monkeypatch.setattr(engine, "score", noted)
    answered = asyncio.run(ask(scheduler, engine, [block]))
    np.testing.assert_allclose(answered.scores["probabilities"], tables.probabilities(block), rtol=1e-5)
    assert [thread is threading.main_thread() for thread in threads] == [here]


def test_an_image_is_always_handed_over(signed, monkeypatch):
    monkeypatch.setattr(compute, "QUICK_SECONDS", 1)
    engine = Engine(signed.path, signed.public_key, threads=1)
    engine.warm()
    pixels = np.zeros((packages.SIZE, packages.SIZE, 3), np.uint8)
    assert not any(map(engine.is_brief, (GREY, memoryview(GREY), pixels)))


def test_closing_finishes_what_was_accepted():
    async def main():
        scheduler = Scheduler(Capacity(threads=1, queue=64))
        task = asyncio.create_task(ask(scheduler, Held(), [b"\5"] * 30))
        await asyncio.sleep(0)
        await asyncio.to_thread(scheduler.close)
        threads = scheduler._threads._threads
        assert len((await task).scores["probabilities"]) == 30
        assert not any(thread.is_alive() for thread in threads)

    asyncio.run(main())


def test_threads_of_inference_never_exceed_the_cores(signed):
    capacity = Capacity.of(2)
    engine = Engine(signed.path, signed.public_key, threads=1)
    assert isinstance(engine.model, OnnxModel)
    assert capacity.threads * engine.model._session.get_session_options().intra_op_num_threads <= 2
