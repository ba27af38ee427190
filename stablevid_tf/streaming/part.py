"""A part of a video."""

from fractions import Fraction


def part(video, start=0.0, seconds=None):
    """The frames of a part of a video; its times begin at 0.

    Frames before the part are decoded and dropped.

    Args:
        video: as `data.open_video` returns it.
        start: seconds from the video's first frame.
        seconds: length of the part; None: to the end.

    Yields:
        `VideoFrame`.

    Raises:
        ValueError: the video ends before `start`.
    """
    if not start and seconds is None:
        yield from video
        return
    base = video.info.time_base
    # Exact: 0.04 s is the frame at 1/25 s, although the float is a little more.
    begin = Fraction(start).limit_denominator(1_000_000)
    length = None if seconds is None else Fraction(seconds).limit_denominator(1_000_000)
    origin = first = time = None
    for frame in video:
        origin = frame.time if origin is None else origin
        time = (frame.time - origin) * base
        if time < begin:
            continue
        if length is not None and time >= begin + length:
            break
        first = frame.time if first is None else first
        yield frame._replace(time=frame.time - first)
    if first is None:
        last = "it has no frames" if time is None else f"its last frame is at {time} s"
        raise ValueError(
            f"The video has no frame from {start:g} s on: {last}. Use a smaller start"
        )


def check_part(start, seconds):
    """Raise if `start` or `seconds` is out of range.

    Raises:
        ValueError: one is.
    """
    if not 0 <= start < float("inf"):
        raise ValueError(f"`start={start!r}` is out of range. Use 0 seconds or more")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ValueError(f"`seconds={seconds!r}` is out of range. Use a length above 0")
