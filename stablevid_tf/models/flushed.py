import itertools


def flushed(frames, latency):
    """Yields the frames, then the last one ``latency`` times more.

    What a model that looks ahead needs to give back every frame that came in.
    """
    frame = None
    for frame in frames:
        yield frame
    if frame is not None:
        yield from itertools.repeat(frame, latency)
