import collections
import os
import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from stablevid_tf import metrics
from stablevid_tf.evaluation.clips import find_clips, pairs
from stablevid_tf.evaluation.evaluation_result import EvaluationResult, mean_of
from stablevid_tf.evaluation.protocol import Protocol
from stablevid_tf.evaluation.protocols import PROTOCOLS
from stablevid_tf.streaming import restore
from stablevid_tf.streaming.strategies import Strategy

#: What can be measured besides a protocol's own measures.
ALSO = ("lpips", "tof", "warping_error")
_TEMPORAL = ("tof", "warping_error")


def evaluate(
    model: Any,
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    protocol: str | Protocol,
    truth: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    *,
    also: Collection[str] = (),
    lpips_weights: Mapping[str, Any] | None = None,
    seed: int = 0,
    strategy: str | Strategy | None = None,
    tile: int | None = None,
    name: str | None = None,
    profiles: bool = False,
    report: Callable[[dict[str, Any]], object] | None = None,
) -> EvaluationResult:
    """Measures a model on a set of clips, as a paper does.

    The clips run one after another, frame by frame, in memory that does not grow with
    their length. A clip that cannot be read or does not fit (corrupt frames, sizes that
    change, a truth of another length, fewer frames than the protocol needs) is left
    out with a warning, counted, and named in the result. If the protocol makes the
    small frames of super-resolution, the true frames are first cropped at the right and
    below to sides that are multiples of the scale.

    Args:
        model: as for `streaming.restore`.
        source: a folder of videos and of folders of frames, or any source that
            `data.ClipDataset` takes: true clips, which the protocol degrades; with
            `truth`, degraded clips.
        protocol: a name in `PROTOCOLS`, or a `Protocol`.
        truth: the true clips, with the same names as those of `source`.
        also: more measures, from "lpips", "tof" and "warping_error"; the last two over
            all frames.
        lpips_weights: the result of `metrics.lpips_weights`, for "lpips".
        seed: integer. The noise of a clip depends on the clip's name and the seed.
        strategy, tile: as for `streaming.restore`.
        name: the model's name in the table. Default: `model.name`.
        profiles: whether to keep a temporal profile of each clip, of its middle row.
        report: function that is called with each row when it is ready.

    Returns:
        `EvaluationResult`.

    Raises:
        FileNotFoundError: there are no clips, or clips without a truth.
        ValueError: the protocol or a measure is unknown, the model has another scale,
            or no clip could be measured.

    Example:
        >>> import tempfile
        >>> from stablevid_tf import evaluation, models
        >>> from stablevid_tf.data import ImageWriter
        >>> folder = tempfile.mkdtemp()
        >>> with ImageWriter(folder + "/clip") as out:
        ...     for time in range(8):
        ...         out.write(np.full([16, 16, 3], time / 8), time)
        >>> model = models.build("vresnet_feat", features=4, blocks=1)
        >>> found = evaluation.evaluate(model, folder, "tanay", name="untrained")
        >>> list(found.mean)
        ['psnr_rgb_frame1', 'psnr_rgb_frame7', 'psnr_rgb_mean']
    """
    protocol = _protocol(protocol)
    _check(model, protocol, also, lpips_weights)
    measures = (*protocol.measures, *_besides(protocol, also))
    wanted = list(dict.fromkeys(metric for metric, _ in measures))
    rows, curves, pictures, left_out = [], {}, {}, []
    clips = find_clips(source, truth)
    for clip, paths in tqdm.tqdm(clips.items(), unit=" clips", disable=report is None):
        shown = pairs(paths, protocol, model.channels, clip, seed)
        meter = _Meter(protocol, wanted, lpips_weights, profiles)
        try:
            for pair in _restored(model, shown, strategy, tile):
                meter.add(*pair)
        except (OSError, ValueError) as error:
            left_out.append(f"{clip}: {error}")
            warnings.warn(f"left out: {left_out[-1]}", stacklevel=2)
            continue
        values = {
            protocol.column(metric, frame): _value(metric, meter.values[metric], frame)
            for metric, frame in measures
        }
        rows.append({"clip": clip, "frames": meter.count} | values)
        curves[clip] = meter.values
        if profiles:
            pictures[clip] = meter.profile()
        if report is not None:
            report(rows[-1])
    if not rows:
        raise ValueError(
            f"None of {len(clips)} clips could be measured. First: {left_out[0]}"
        )
    name = name or getattr(model, "name", type(model).__name__)
    given = truth is not None
    return EvaluationResult(protocol, name, rows, curves, pictures, left_out, given)


class _Meter:
    """The measures of one clip, frame by frame."""

    def __init__(self, protocol, wanted, lpips_weights, profiles):
        self.values = {metric: [] for metric in wanted}
        self.count = 0
        self._protocol, self._weights = protocol, lpips_weights
        self._before = None
        self._rows = ([], []) if profiles else None

    def add(self, truth, restored):
        if restored.shape != truth.shape:
            raise ValueError(
                "the model's output must have the shape of the true frame, "
                f"{truth.shape}. Received: {restored.shape}"
            )
        # A written picture is clipped.
        pair = truth, np.clip(restored, 0, 1)
        for metric, values in self.values.items():
            if metric in _TEMPORAL:
                if self._before is not None:
                    clips = (np.stack(x) for x in zip(self._before, pair, strict=True))
                    values.append(float(getattr(metrics, metric)(*clips)[0]))
            else:
                values.append(self._of_a_frame(metric, *pair))
        if self._rows is not None:
            for rows, frame in zip(self._rows, pair, strict=True):
                middle = frame.shape[0] // 2
                rows.append(frame[middle : middle + 1].copy())
        self._before = pair
        self.count += 1

    def profile(self):
        """[2 T + 4, W, C]: the truth's temporal profile, a white gap, the restored."""
        truth, restored = (metrics.temporal_profile(rows, 0) for rows in self._rows)
        gap = np.ones((4, *truth.shape[1:]), truth.dtype)
        return np.concatenate([truth, gap, restored])

    def _of_a_frame(self, metric, truth, restored):
        crop = self._protocol.crop
        if metric == "lpips":
            return float(metrics.lpips(truth, restored, self._weights, crop=crop))
        function = {"psnr": metrics.psnr, "ssim": metrics.ssim}[metric]
        return float(function(truth, restored, y=self._protocol.y, crop=crop))


def _restored(model, pairs, strategy, tile):
    """Yields `(truth, restored)`; truths are kept for the model's latency."""
    truths = collections.deque()

    def shown():
        for frame, truth in pairs:
            truths.append(truth)
            yield frame

    for frame in restore(model, shown(), strategy, tile=tile):
        yield truths.popleft(), frame


def _value(metric, values, frame):
    """One frame's value, counted from 1, or the mean of all."""
    return mean_of(metric, values) if frame == "mean" else values[frame - 1]


def _besides(protocol, also):
    """The measures of `also`: LPIPS at the protocol's frames, the others over all."""
    frames = dict.fromkeys(frame for _, frame in protocol.measures)
    for metric in also:
        for frame in ("mean",) if metric in _TEMPORAL else frames:
            yield metric, frame


def _protocol(protocol):
    if not isinstance(protocol, str):
        return protocol
    if protocol not in PROTOCOLS:
        raise ValueError(
            f"Unknown protocol. Received: {protocol!r}. Choose from: "
            f"{', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[protocol]


def _check(model, protocol, also, lpips_weights):
    scale = getattr(model, "scale", 1)
    if scale != protocol.scale:
        raise ValueError(
            f"Protocol {protocol.name} needs a model of scale {protocol.scale}. "
            f"Received: a model of scale {scale}. Choose another protocol or model"
        )
    if protocol.y and model.channels <= 2:
        raise ValueError(
            f"Protocol {protocol.name} measures the luma of RGB frames. Received: a "
            "grey model. Use a model of RGB frames"
        )
    unknown = set(also) - set(ALSO)
    if unknown:
        raise ValueError(
            f"Unknown measures in also. Received: {sorted(unknown)}. Choose from: "
            f"{', '.join(ALSO)}"
        )
    if "lpips" in also and lpips_weights is None:
        # Its error says where to get them.
        metrics.lpips_weights(None)
    if set(also) & set(_TEMPORAL) and "cv2" not in sys.modules:
        from stablevid_tf.metrics.flow import optical_flow

        # Raises now if OpenCV is missing, not after the first clip.
        optical_flow(np.zeros((16, 16, 1)), np.zeros((16, 16, 1)))
