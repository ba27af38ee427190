class VideoError(OSError):
    """A video or image file that cannot be read, or cannot be written.

    The message says what came, what is allowed and what to do next.
    """
