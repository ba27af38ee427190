import contextlib
import os


@contextlib.contextmanager
def no_chatter():
    """Silences what TensorFlow prints as it loads, before it reads any setting."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
