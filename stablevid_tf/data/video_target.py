import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path

from stablevid_tf.data.video_error import VideoError

_FRAME_NAME = re.compile(r".*\.png", re.IGNORECASE)


def check_target(path, overwrite=False):
    """Refuses a target that already exists or whose folder cannot be written.

    Args:
        path: a file, or a folder of frames.
        overwrite: bool, whether an existing one may be replaced. A folder may
            only where it holds nothing but PNG files.

    Raises:
        FileExistsError: it already exists.
        VideoError: it may not be replaced, or its folder is missing or read-only.
    """
    path = Path(path)
    parent = path.absolute().parent
    if not parent.is_dir():
        raise VideoError(f"{path}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise VideoError(f"{path}: no permission to write in {parent}")
    if path.is_dir():
        entries = list(path.iterdir())
        if entries and not overwrite:
            raise FileExistsError(_exists(path))
        other = [e.name for e in entries if not _FRAME_NAME.fullmatch(e.name)]
        if other:
            raise VideoError(
                f"{path}: holds more than PNG files ({other[0]!r}), so it is not "
                "replaced; name another folder"
            )
    elif (path.exists() or path.is_symlink()) and not overwrite:
        raise FileExistsError(_exists(path))


def refuse_same(source, target):
    """Refuses to write a video over the one that is being read.

    Raises:
        VideoError: both names mean the same file or folder.
    """
    source, target = Path(source), Path(target)
    inside = source.parent if not source.exists() else source
    if target.exists() and inside.exists() and os.path.samefile(inside, target):
        raise VideoError(f"{target}: is the input as well; name another output")


@contextlib.contextmanager
def complete_or_absent(path, overwrite=False, folder=False):
    """A temporary name beside `path` that takes its place only on success.

    On any exception, an interrupt included, the temporary is removed and whatever
    stood at `path` is left as it was. What is written is flushed to the disk
    before it appears.

    Args:
        path: the file or folder to make.
        overwrite: bool, whether an existing one is replaced.
        folder: bool, whether it is a folder; it is then made empty.

    Yields:
        Path, with the suffix of `path`.

    Raises:
        FileExistsError, VideoError: as `check_target`.
    """
    check_target(path, overwrite)
    # Through a symbolic link, so that the link stays and its target changes.
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        if folder:
            temporary.mkdir()
        yield temporary
        _flush(temporary)
        check_target(path, overwrite)
        _put_in_place(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _exists(path):
    return f"{path}: already exists; name another, or allow overwriting it"


def _flush(path):
    for each in [*path.iterdir(), path] if path.is_dir() else [path]:
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put_in_place(temporary, path):
    if not path.is_dir():
        os.replace(temporary, path)
        return
    if not temporary.is_dir():
        raise VideoError(f"{path}: is a folder; name a file")
    # A folder with files in it cannot be replaced in one move.
    old = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
    os.rename(path, old)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old)
