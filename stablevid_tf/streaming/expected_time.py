"""How long a restoration takes."""

import time


def timed(images, count, say):
    """Passes images on, and calls `say` once with the seconds per image.

    Args:
        images: iterable.
        count: int, the number of images that are timed, after the first one: its time
            includes the compilation of the model.
        say: function of a float.

    Yields:
        The items of `images`.
    """
    for index, image in enumerate(images):
        if index == 0:
            begin = time.perf_counter()
        elif index == count:
            say((time.perf_counter() - begin) / count)
        yield image


def expected_time(seconds, frames):
    """The expected time as text.

    Args:
        seconds: seconds per frame.
        frames: int, the number of frames; None: unknown.

    Example:
        >>> from stablevid_tf.streaming.expected_time import expected_time
        >>> expected_time(7.52, 1500)
        'about 7.5 s per frame, about 188 minutes'
    """
    words = f"about {seconds:.{1 if seconds >= 1 else 2}f} s per frame"
    if frames is None:
        return words
    minutes = max(1, round(seconds * frames / 60))
    return f"{words}, about {minutes} minute{'s' if minutes > 1 else ''}"
