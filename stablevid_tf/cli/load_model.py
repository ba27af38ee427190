import os
import pkgutil
import sys
from pathlib import Path

from stablevid_tf.cli.no_chatter import no_chatter


def load_model(name):
    """Load the model that a command's argument names.

    Args:
        name: a zoo entry, a folder with one, `hf://user/repository@revision`, a
            `.keras` file, or an import path `package.module:name` of a model, a cell,
            or a function without arguments that returns one.

    Raises:
        FileNotFoundError: the `.keras` file, or the entry's weights, are missing.
        ValueError: the model cannot be loaded.
        ImportError, OSError: as `stablevid_tf.zoo.load`, if the Hub is asked.
    """
    if name.endswith(".keras") and not Path(name).is_file():
        raise FileNotFoundError(
            f"{name}: no such file. Give a .keras file that exists, or a name from "
            "'stablevid zoo list'"
        )
    with no_chatter():
        import keras

        import stablevid_tf.models  # noqa: F401  (makes its classes known to Keras)
        from stablevid_tf import zoo
    if name.endswith(".keras"):
        return keras.saving.load_model(name, compile=False)
    if ":" in name and not name.startswith("hf://") and not Path(name).exists():
        return _imported(name)
    return zoo.load(name)


def noise_of(name):
    """The noise level in units of 255 in a zoo entry's `model.toml`, or None."""
    from stablevid_tf.zoo import entries

    try:
        _, entry = entries.find(name)
    except ValueError:
        return None
    return entry.get("input", {}).get("sigma")


def _imported(path):
    # As `python -m` does: what lies in the working directory can be imported.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be imported: {error}. Give package.module:name, from a "
            "folder where Python finds the package"
        ) from error
    if isinstance(found, type) or not hasattr(found, "initial_state"):
        try:
            found = found()
        except TypeError as error:
            raise ValueError(
                f"{path} must be a model, a cell, or make one when called without "
                f"arguments: {error}"
            ) from error
    return found
