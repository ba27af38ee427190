"""Tested: order, bounds, errors and early ends of a thread that runs ahead."""

import threading
import time

import pytest

from stablevid_tf.streaming.ahead import ahead


def test_order_and_values_that_look_like_an_end():
    items = [None, StopIteration(), ValueError(), 3]
    assert list(ahead(iter(items), size=1)) == items


def test_runs_no_further_than_it_may():
    taken = []
    items = ahead((taken.append(i) or i for i in range(100)), size=3)
    assert taken == []
    assert next(items) == 0
    time.sleep(0.3)
    # One given out, three waiting, one in hand.
    assert len(taken) <= 5
    items.close()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, StopAsyncIteration])
def test_an_exception_comes_out_in_its_place(kind):
    def items():
        yield 1
        raise kind("broken")

    out = ahead(items())
    assert next(out) == 1
    with pytest.raises(kind, match="broken"):
        next(out)


def test_closing_early_ends_the_thread_and_closes_what_it_ran():
    before, closed = threading.active_count(), []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread())

    out = ahead(ahead(items(), size=2), size=2)
    next(out)
    assert threading.active_count() == before + 2
    out.close()
    assert threading.active_count() == before
    assert len(closed) == 1
