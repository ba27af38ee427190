import contextlib
import os
import threading


@contextlib.contextmanager
def few_cores(count):
    """Limits the cores of the calling thread, so that codecs start fewer threads.

    FFmpeg, x264 and libvpx choose their number of threads when a codec opens, from the
    cores that the calling thread may use. Afterwards the calling thread and the new
    threads may use every core again, so two such processes do not share one core.
    Linux only; on other systems nothing is limited.

    Args:
        count: int; None: no limit.

    Example:
        >>> import os
        >>> from stablevid_tf.streaming.few_cores import few_cores
        >>> with few_cores(1):
        ...     len(os.sched_getaffinity(0))
        1
    """
    if count is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before, known = os.sched_getaffinity(0), _threads()
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        for thread in {threading.get_native_id(), *(_threads() - known)}:
            # A thread that has ended by now needs no cores.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, before)


def _threads():
    return {int(name) for name in os.listdir("/proc/self/task")}
