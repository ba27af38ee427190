import contextlib
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from absl import logging

from stablevid_tf.data.builders.every import BUILDERS
from stablevid_tf.data.builders.sequence_builder import SequenceBuilder, tfds


def builder(
    name: str, data_dir: str | os.PathLike[str] | None = None
) -> SequenceBuilder:
    """The tfds builder of a dataset.

    Args:
        name: such as ``"vid4"``, or ``"reds/blur"`` where there are configs.
        data_dir: the folder of built datasets; tfds' own by default.

    Raises:
        LookupError: there is no such dataset, or no such config.
    """
    name, _, config = name.partition("/")
    if name not in BUILDERS:
        raise LookupError(f"no dataset {name!r}; there are {', '.join(BUILDERS)}")
    made = BUILDERS[name]
    configs = [c.name for c in made.BUILDER_CONFIGS]
    if config and config not in configs:
        allowed = f"has {', '.join(configs)}" if configs else "has no configs"
        raise LookupError(f"no config {config!r}: {name} {allowed}")
    return made(data_dir=data_dir, config=config or None)


def build(
    name: str,
    manual_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    partial: bool = False,
    beam_options: list[str] | None = None,
) -> SequenceBuilder:
    """Builds a dataset from what was downloaded by hand.

    The dataset appears whole or not at all; datasets that are there are not touched.

    Args:
        name: as for :func:`builder`.
        manual_dir: folder of what was downloaded (the error of a wrong one tells what
            is needed); it is only read.
        data_dir: the folder of built datasets; tfds' own by default.
        partial: bool, build what is there of an incomplete set, and say what is not.
        beam_options: list of Apache Beam pipeline options, such as
            ``["--runner=DirectRunner"]``, to build a large set by Beam.

    Returns:
        The builder; ``builder.as_dataset(split)`` reads.

    Raises:
        LookupError: there is no such dataset.
        FileNotFoundError: `manual_dir` is absent or empty.
        FileExistsError: it was built before from something else, or is being built.
        ValueError: something is missing or damaged; all of it is counted.
        OSError: it could not be written, for example on a full disk.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from stablevid_tf import data
        >>> from stablevid_tf.data import builders
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "videos").mkdir()
        >>> with data.ImageWriter(folder / "videos" / "shot") as out:
        ...     for time in range(3):
        ...         out.write(np.zeros([8, 12, 3]), time)
        >>> made = builders.build("video_folder", folder / "videos", folder / "built")
        >>> [example["video"].shape for example in made.as_dataset("train")]
        [TensorShape([3, 8, 12, 3])]
    """
    made = builder(name, data_dir)
    made.partial = partial
    root = Path(manual_dir).expanduser()
    if not root.is_dir() or not any(root.iterdir()):
        state = "an empty folder" if root.is_dir() else "no such folder"
        needed = " ".join(made.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
        raise FileNotFoundError(f"{manual_dir}: {state}. {needed}")
    if beam_options and not made.LARGE:
        raise ValueError(f"{name} is small: it is built without Beam")
    target = Path(made.data_path)
    with (
        _alone(target),
        _in_words(target),
        tempfile.TemporaryDirectory() as nothing,
        # tfds prints what it is about to do, and what it did.
        contextlib.redirect_stdout(io.StringIO()),
    ):
        _check_built(made, root)
        _clear_leftovers(target)
        made.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                manual_dir=root,
                beam_options=_pipeline(beam_options),
                try_download_gcs=False,
            ),
            # tfds makes this folder, even where nothing is downloaded.
            download_dir=nothing,
        )
    return made


def quieten():
    """Leaves of what tfds says the progress bars, where a person sees them."""
    logging.set_verbosity(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()


def _pipeline(options):
    if not options:
        return None
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ImportError(
            "Beam is in the extra `beam`: pip install 'stablevid-tf[beam]'"
        ) from error
    return PipelineOptions(options)


def _check_built(made, root):
    """That a dataset that is there is the one that is asked for."""
    path = Path(made.data_path)
    if not path.exists():
        return
    check_whole(made)
    kept = made.info.metadata or {}
    was = kept.get("source", str(root.resolve()))
    if was != str(root.resolve()):
        what = f"from {was}, not from {root}"
    elif kept.get("partial") and not made.partial:
        what = "in part"
    elif made.stamps(root) != kept.get("stamps", []):
        what = f"before {root} changed"
    else:
        return
    raise FileExistsError(
        f"{path} was built {what}; give another data_dir, or delete it"
    )


def check_whole(made):
    """That no file of a built dataset is missing.

    Args:
        made: a tfds builder of a dataset that is built.

    Raises:
        FileNotFoundError: one is; how many, and the first.
    """
    paths = [Path(p) for split in made.info.splits.values() for p in split.filepaths]
    absent = [path for path in paths if not path.exists()]
    if absent or not paths:
        raise FileNotFoundError(
            f"{made.data_path} is not whole: {len(absent)} of {len(paths)} files are "
            f"missing{f', first {absent[0].name}' if absent else ''}. Delete it and "
            "build it again"
        )


def _clear_leftovers(target):
    """Removes what a build that was killed left: no other runs now."""
    for half in target.parent.glob(f"incomplete.*_{target.name}"):
        shutil.rmtree(half)


@contextlib.contextmanager
def _alone(target):
    """Holds the folder against a second build, until the process ends."""
    import fcntl

    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileExistsError(
                f"{target}: another process is building it; wait for its end"
            ) from error
        yield


@contextlib.contextmanager
def _in_words(target):
    """Errors of a disk in one sentence; tfds wraps them in others, or not."""
    import tensorflow as tf

    try:
        yield
    except (OSError, RuntimeError, tf.errors.OpError) as error:
        root = error
        while isinstance(root.__cause__, (OSError, tf.errors.OpError)):
            root = root.__cause__
        if isinstance(root, tf.errors.OpError):
            reason = root.message
        elif isinstance(root, OSError) and root.errno is not None:
            reason = os.strerror(root.errno)
        else:
            raise
        free = shutil.disk_usage(target.parent).free / 2**20
        raise OSError(
            f"{target} could not be written: {reason} ({free:.0f} MiB are free)"
        ) from error
