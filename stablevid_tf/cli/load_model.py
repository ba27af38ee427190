import contextlib
import os
from pathlib import Path


def load_model(name):
    """A model by the name a person types.

    Args:
        name: an entry of the zoo, a folder with one, or a `.keras` file.

    Raises:
        FileNotFoundError: no such `.keras` file.
        ValueError: it cannot be loaded; or as `zoo.load`.
    """
    if name.endswith(".keras") and not Path(name).is_file():
        raise FileNotFoundError(f"{name}: no such file")
    with _no_chatter():
        import keras
    if not name.endswith(".keras"):
        from stablevid_tf import zoo

        return zoo.load(name)
    import stablevid_tf.models  # noqa: F401  (makes its classes known to Keras)

    return keras.saving.load_model(name, compile=False)


@contextlib.contextmanager
def _no_chatter():
    """Silences what TensorFlow prints as it loads, before any setting is read."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
