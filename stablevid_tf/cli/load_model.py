from pathlib import Path

from stablevid_tf.cli.no_chatter import no_chatter


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
    with no_chatter():
        import keras

        import stablevid_tf.models  # noqa: F401  (makes its classes known to Keras)
        from stablevid_tf import zoo
    if not name.endswith(".keras"):
        return zoo.load(name)
    return keras.saving.load_model(name, compile=False)
