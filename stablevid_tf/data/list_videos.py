import glob
import hashlib
from pathlib import Path

from stablevid_tf.data.images_reader import IMAGE_SUFFIXES

# fmt: off
_VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts",
    ".mts", ".ogv", ".wmv", ".flv", ".y4m"
)
# fmt: on


def list_videos(source):
    """The videos below ``source``, sorted: files, and folders that hold frames.

    Args:
        source: see :class:`~stablevid_tf.data.ClipDataset`.

    Returns:
        A list of paths, each fit for :func:`stablevid_tf.data.open_video`.
    """
    if isinstance(source, (list, tuple)):
        return [video for one in source for video in list_videos(one)]
    path = Path(source)
    if not path.exists() and glob.has_magic(str(source)):
        inside = sorted(Path(p) for p in glob.glob(str(source)))
    elif not path.exists():
        raise FileNotFoundError(f"{source}: there is no such file or folder")
    elif not path.is_dir():
        return [path]
    else:
        inside = sorted(path.iterdir())
    if path.is_dir() and any(p.suffix.lower() in IMAGE_SUFFIXES for p in inside):
        return [path]
    found = []
    for p in inside:
        if p.is_dir():
            images = any(q.suffix.lower() in IMAGE_SUFFIXES for q in p.iterdir())
            found += [p] if images else []
        elif p.suffix.lower() in _VIDEO_SUFFIXES:
            found.append(p)
    if not found:
        raise FileNotFoundError(
            f"{source}: no video file ({', '.join(_VIDEO_SUFFIXES)}) and no folder of "
            f"images ({', '.join(IMAGE_SUFFIXES)}) in it"
        )
    return found


def key_of(path):
    """A name for a video as it is now: another when it changes."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stamp = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    digest = hashlib.sha256(repr((str(path.resolve()), stamp)).encode())
    return f"{path.stem}-{digest.hexdigest()[:16]}"
