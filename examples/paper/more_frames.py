"""What a network of whole clips makes of more frames: in quality, and in time."""

import itertools
import sys
from pathlib import Path

import numpy as np

from stablevid_tf import metrics
from stablevid_tf.data import open_video
from stablevid_tf.data.degradations import BicubicDown
from stablevid_tf.data.list_videos import list_videos

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from common import interleave

SCALE = 4


def by_padding(model, test, paddings):
    """``{p: PSNR}`` of single frames restored with p frames before and after each.

    The frames are two of every clip of `test`, the same for every p: the middle ones of
    its first and last frames that the widest padding takes.
    """
    values = {padding: [] for padding in paddings}
    for truth in _pieces(test, 2 * max(paddings) + 1):
        small, _ = BicubicDown(SCALE).degrade(truth, None)
        small = (np.rint(np.clip(small, 0, 1) * 255) / 255).astype("float32")
        at = len(truth) // 2
        for padding, found in values.items():
            near = small[at - padding : at + padding + 1]
            # The network itself: the model would add frames of its own padding.
            restored = np.clip(model.network(near[None])[0, padding], 0, 1)
            found.append(float(metrics.psnr(truth[at], restored)))
    return {padding: float(np.mean(found)) for padding, found in values.items()}


def _pieces(test, length):
    """The first and the last `length` of every clip's first 32 frames, of those that
    are so long.
    """
    for path in list_videos(test):
        with open_video(path) as video:
            frames = [frame.image for frame in itertools.islice(video, 32)]
        if len(frames) < length:
            continue
        for start in {0, len(frames) - length}:
            piece = np.stack(frames[start : start + length]).astype("float32") / 255
            height, width = (side // SCALE * SCALE for side in piece.shape[1:3])
            yield piece[:, :height, :width]


def speed(model, lengths, padding, size=32, rounds=7):
    """Time per frame of n restored at once over that of one, ``{str(n): [round]}``.

    A call computes n + 2 `padding` frames of `size` x `size`. Only times of one round
    are compared: what a shared machine does changes between rounds.
    """
    random = np.random.default_rng(0)
    shape = (size, size, model.channels)
    clips = {n: random.random((1, n + 2 * padding, *shape), "float32") for n in lengths}
    calls = {n: lambda n=n: model.predict_on_batch(clips[n]) for n in lengths}
    took = interleave(calls, rounds, warm=2)
    return {str(n): list(took[n] / n / took[1]) for n in lengths}
