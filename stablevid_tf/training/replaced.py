"""Files that appear under their name only when complete."""

import contextlib
import os
from pathlib import Path


@contextlib.contextmanager
def replaced(path, room=0):
    """Context with a path to write to, whose file then takes the place of ``path``.

    A process killed meanwhile leaves ``path`` as it was. So does a full disk.

    Args:
        path: of the file; its folder exists.
        room: bytes that there must be room for. HDF5 brings the whole process down
            where a disk is full as it writes, so that is found out before.

    Raises:
        OSError: it could not be written; what was written is removed.
    """
    path = Path(path)
    # The end of the name stays: it tells Keras and Matplotlib the format.
    partial = path.with_name(f"partial.{path.name}")
    try:
        if room and hasattr(os, "posix_fallocate"):
            with open(partial, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, room)
        yield partial
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    # HDF5 says RuntimeError where a file cannot be closed.
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        kept = "it is as it was" if path.exists() else "there was none before"
        raise OSError(
            f"{path} could not be written, {kept}: {error}. Make room and run the same "
            "command again."
        ) from error
