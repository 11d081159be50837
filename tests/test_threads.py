from concurrent.futures import Future, ThreadPoolExecutor

from bonafide.threads import mapped


class Immediate:
    def submit(self, work, item):
        future = Future()
        future.set_result(work(item))
        return future


def test_results_come_in_order():
    with ThreadPoolExecutor(4) as pool:
        assert list(mapped(pool, lambda number: number * 2, range(50), ahead=8)) == list(range(0, 100, 2))


def test_items_are_not_read_ahead_without_bound():
    read = []

    def source():
        for number in range(200):
            read.append(number)
            yield number

    next(mapped(Immediate(), lambda number: number, source(), ahead=8))
    assert len(read) == 8
