import contextlib
import queue
import threading


@contextlib.contextmanager
def behind(function, size=4):
    """Calls a function in its own thread, up to `size` calls behind.

    Leaving the context waits for all calls. An exception in the context, or an
    interrupt, drops the waiting calls and waits for the running one. An exception in
    the function ends the thread and is raised at the next call, or when the context is
    left.

    Args:
        function: called in the thread, in order.
        size: int, the largest number of calls that wait.

    Yields:
        A function with the same arguments, which returns nothing; it waits while
        `size` calls wait.

    Example:
        >>> from stablevid_tf.streaming.behind import behind
        >>> found = []
        >>> with behind(found.append) as append:
        ...     for number in range(3):
        ...         append(number)
        >>> found
        [0, 1, 2]
    """
    waiting, stop, end = queue.Queue(size), threading.Event(), object()
    errors = []

    def work():
        while not stop.is_set():
            try:
                arguments = waiting.get(timeout=0.1)
            except queue.Empty:
                continue
            if arguments is end:
                return
            try:
                function(*arguments)
            except BaseException as error:  # handed over, whatever it is
                errors.append(error)
                return

    def offer(item):
        while True:
            if errors:
                raise errors[0]
            try:
                waiting.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield lambda *arguments: offer(arguments)
        offer(end)
        thread.join()
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]
