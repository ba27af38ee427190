import itertools
from collections.abc import Iterable, Iterator
from typing import Any


def flushed(frames: Iterable[Any], latency: int) -> Iterator[Any]:
    """Yields the frames, then the last one ``latency`` times more.

    What a model that looks ahead needs to give back every frame that came in.
    """
    frame = None
    for frame in frames:
        yield frame
    if frame is not None:
        yield from itertools.repeat(frame, latency)
