"""The noise of a video, and models that must know it."""

import itertools
import warnings

import numpy as np

from stablevid_tf.cells import NoiseLevelCell
from stablevid_tf.data.noise_level import noise_level
from stablevid_tf.data.video import open_video
from stablevid_tf.streaming.part import part

# Frames that the noise is measured on.
_MEASURED = 5


def measured_noise(source, rate=None, damaged=False, start=0.0):
    """The noise level of a video in units of 255 (`data.noise_level`).

    Args:
        source, rate: as for `restore_file`.
        damaged: bool, measure what can be decoded of a damaged file.
        start: seconds; the first five frames from there on are measured.

    Returns:
        float, the median over these frames; None if they are too small to measure.
    """
    with (
        warnings.catch_warnings(action="ignore"),
        open_video(source, rate, damaged) as video,
    ):
        frames = itertools.islice(part(video, start), _MEASURED)
        images = [frame.image for frame in frames]
    # Frames of several sizes, or too small ones, raise when they are restored.
    levels = [noise_level(x / np.float32(255)) for x in images if min(x.shape[:2]) > 1]
    return float(np.median(levels)) if levels else None


def takes_level(model):
    """Whether a model has a noise map, and so must know the noise level."""
    network = getattr(model, "network", None)
    return isinstance(network, NoiseLevelCell) or getattr(network, "noise_map", False)


def lacks_level(model):
    """Whether the noise level of a model with a noise map has not been set.

    The default level of a zoo entry does not count: it does not describe the video.
    """
    if not takes_level(model):
        return False
    if not isinstance(model.network, NoiseLevelCell):
        return True
    from stablevid_tf.zoo.entries import find, names

    if model.name not in names():
        return False
    _, entry = find(model.name)
    return entry.get("input", {}).get("sigma") == model.network.sigma
