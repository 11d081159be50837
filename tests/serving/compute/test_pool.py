import gc
import threading
import weakref

from bonafide.serving.compute.pool import Pool


class Payload:
    """Something that can be seen to go."""


def test_what_is_cancelled_lets_go_of_its_arguments_while_others_work():
    begun, go = threading.Event(), threading.Event()
    with Pool(1) as pool:
        working = pool.submit(lambda: (begun.set(), go.wait(10)))
        begun.wait(10)
        payload = Payload()
        seen = weakref.ref(payload)
        waiting = pool.submit(id, payload)
        del payload
        gc.collect()
        assert seen() is not None
        assert waiting.cancel()
        gc.collect()
        assert seen() is None
        go.set()
        assert working.result(10)


def test_what_is_done_lets_go_as_well_and_gives_its_result():
    with Pool(2) as pool:
        payload = Payload()
        seen = weakref.ref(payload)
        future = pool.submit(lambda given: given is not None, payload)
        assert future.result(10)
        del payload
        gc.collect()
        assert seen() is None
