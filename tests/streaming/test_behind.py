"""Tested: order, bounds, errors and early ends of a thread that runs behind; how many
cores a library sees."""

import os
import threading
import time

import pytest

from stablevid_tf.streaming.behind import behind
from stablevid_tf.streaming.few_cores import few_cores


def test_every_call_is_made_in_order_in_one_other_thread():
    calls = []
    with behind(lambda *a: calls.append((a, threading.get_ident())), 1) as call:
        for number in range(20):
            call(number, -number)
    assert [a for a, _ in calls] == [(n, -n) for n in range(20)]
    (thread,) = {t for _, t in calls}
    assert thread != threading.get_ident()


def test_the_caller_is_at_most_so_far_ahead():
    release, made = threading.Event(), []

    def slow(number):
        release.wait(5)
        made.append(number)

    with behind(slow, size=2) as call:
        begin = time.monotonic()
        for number in range(3):  # one runs, two wait
            call(number)
        assert time.monotonic() - begin < 1 and not made
        threading.Timer(0.3, release.set).start()
        call(3)
        assert release.is_set()
    assert made == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_of_the_function_is_raised_here(kind):
    threads, made = threading.active_count(), []

    def failing(number):
        if number == 2:
            raise kind("broken")
        made.append(number)

    with pytest.raises(kind, match="broken"), behind(failing) as call:
        for number in range(1000):
            call(number)
    with pytest.raises(kind, match="broken"), behind(failing) as call:
        call(2)  # the last call: raised when the context is left
    assert made == [0, 1]
    assert threading.active_count() == threads


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_exception_here_drops_what_waits(kind):
    threads, made = threading.active_count(), []

    def slow(number):
        time.sleep(0.05)
        made.append(number)

    with pytest.raises(kind, match="here"), behind(slow, size=8) as call:
        for number in range(8):
            call(number)
        raise kind("here")
    assert len(made) <= 3
    assert threading.active_count() == threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_few_cores_are_seen_inside_and_all_of_them_afterwards():
    before, seen, stop = os.sched_getaffinity(0), [], threading.Event()

    def work():
        seen.append(len(os.sched_getaffinity(0)))
        stop.wait(5)
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    with pytest.raises(ValueError), few_cores(1):
        assert len(os.sched_getaffinity(0)) == 1
        thread.start()
        while not seen:
            time.sleep(0.01)
        raise ValueError
    stop.set()
    thread.join()
    assert os.sched_getaffinity(0) == before
    assert seen == [1, before]
    with few_cores(None):
        assert os.sched_getaffinity(0) == before
