"""The frames that a model sees of a clip, and those its output is compared with."""

import collections
import itertools
import zlib
from pathlib import Path

import numpy as np

from stablevid_tf.data import degradations
from stablevid_tf.data.list_videos import list_videos
from stablevid_tf.data.video import open_video
from stablevid_tf.data.video_error import VideoError

# Full-range luma, which a grey model sees.
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def find_clips(source, truth=None):
    """`{name: (path, path of its truth or None)}`, by the names of the files.

    Raises:
        FileNotFoundError: there are no clips, or one has no truth.
        ValueError: two clips have the same name.
    """
    paths = _by_name(list_videos(source))
    if truth is None:
        return {name: (path, None) for name, path in paths.items()}
    truths = _by_name(list_videos(truth))
    missing = sorted(set(paths) - set(truths))
    if missing:
        raise FileNotFoundError(
            f"{truth}: no truth for {len(missing)} of {len(paths)} clips "
            f"({', '.join(missing[:5])}). A clip and its truth must have the same name"
        )
    return {name: (path, truths[name]) for name, path in paths.items()}


def pairs(paths, protocol, channels, name, seed):
    """Yields `(shown, truth)` of one clip, frame by frame, float32 [h, w, C].

    Args:
        paths: `(path, path of its truth or None)`.
        protocol: a `evaluation.Protocol`.
        channels: channels of the model's input: 3 or 1; one more is a noise map.
        name: the clip's name; random numbers depend on it and the seed.
        seed: integer; with 0 the noise is that of `benchmarks/denoise_psnr.py`.

    Raises:
        VideoError: a file cannot be read.
        ValueError: sizes or lengths do not fit.
    """
    path, truth = paths
    grey = channels <= 2
    if truth is not None:
        found = _given(_frames(path, grey), _frames(truth, grey), protocol.scale)
    else:
        layer = getattr(degradations, protocol.degradation)
        settings = dict(protocol.settings)
        if channels in (2, 4):
            settings["noise_map"] = True
        number = zlib.crc32(name.encode())
        random = np.random.default_rng([seed, number] if seed else number)
        found = _made(_frames(path, grey), layer(**settings), random, protocol)
    count = 0
    for pair in itertools.islice(found, protocol.frames):
        count += 1
        yield pair
    if count < (protocol.frames or 1):
        raise ValueError(
            f"{count} frames are too few: {protocol.name} needs at least "
            f"{protocol.frames or 1}"
        )


def _by_name(paths):
    named = {Path(path).stem if Path(path).is_file() else Path(path).name: path
             for path in paths}  # fmt: skip
    if len(named) < len(paths):
        raise ValueError(
            f"Clips must have different names. Received: {len(paths)} clips with "
            f"{len(named)} names. Rename them, or evaluate them separately"
        )
    return named


def _frames(path, grey):
    shape = None
    with open_video(path) as video:
        for index, frame in enumerate(video):
            image = frame.image.astype(np.float32) / 255
            if shape is not None and image.shape != shape:
                raise VideoError(
                    f"{path}: frame {index} is {image.shape[1]}x{image.shape[0]}, "
                    f"those before it are {shape[1]}x{shape[0]}"
                )
            shape = image.shape
            yield (image @ _GREY)[..., None] if grey else image


def _given(shown, truth, scale):
    """Degraded and true frames, from files."""
    for index, (a, b) in enumerate(itertools.zip_longest(shown, truth)):
        if a is None or b is None:
            longer, shorter = "the clip", "its truth"
            if a is None:
                longer, shorter = shorter, longer
            raise ValueError(f"{longer} is longer: {shorter} ends after {index} frames")
        if b.shape[:2] != (scale * a.shape[0], scale * a.shape[1]):
            raise ValueError(
                f"the truth must be {scale} times as large as the clip. Received: "
                f"truth {b.shape[1]}x{b.shape[0]}, clip {a.shape[1]}x{a.shape[0]}"
            )
        yield a, b


def _made(truth, layer, random, protocol):
    """Frames degraded by the protocol and true ones, window by window."""
    scale = protocol.scale
    length = layer.frames_needed(1)
    every = layer.frames_needed(2) - length
    window = collections.deque(maxlen=length)
    for index, frame in enumerate(truth):
        height, width = (side // scale * scale for side in frame.shape[:2])
        if not height or not width:
            raise ValueError(
                f"frames of {frame.shape[1]}x{frame.shape[0]} pixels are too small"
            )
        window.append(frame[:height, :width])
        if index + 1 < length or (index + 1 - length) % every:
            continue
        shown, target = layer.degrade(np.stack(window), random)
        if protocol.rounded:
            shown = np.rint(np.clip(shown, 0, 1) * 255).astype(np.float32) / 255
        yield shown[0], target[0]
