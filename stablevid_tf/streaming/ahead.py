import queue
import threading


def ahead(iterable, size=4):
    """Runs an iterable in its own thread, up to `size` items ahead.

    An exception in the iterable is raised here, after the items before it. Closing
    this generator, or an exception where it is used, stops the thread and waits for it.

    Args:
        iterable: run and closed in the thread.
        size: int, the largest number of finished items that wait.

    Yields:
        The items of `iterable`.
    """
    waiting, stop, end = queue.Queue(size), threading.Event(), object()

    def offer(item, error=None):
        while not stop.is_set():
            try:
                waiting.put((item, error), timeout=0.1)
                return
            except queue.Full:
                continue

    def work():
        try:
            for item in iterable:
                offer(item)
                if stop.is_set():
                    return
            offer(end)
        except BaseException as error:  # handed over, whatever it is
            offer(None, error)
        finally:
            if hasattr(iterable, "close"):
                iterable.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stop.set()
        thread.join()
