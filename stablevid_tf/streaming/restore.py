from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stablevid_tf.streaming.look_ahead import look_ahead as by_windows
from stablevid_tf.streaming.steps import steps
from stablevid_tf.streaming.strategies import Strategy, strategy_of
from stablevid_tf.streaming.tiled import Tiled

# Noise of sigma 100/255 stays within; values of 0..255 do not.
_LIMIT = 4.0
# Frames that a bidirectional model sees before and after those it restores. From 4 on
# the cost is two calls per frame, and more frames only cost memory; at 8 an untrained
# model whose loops halve was 62 dB from the whole clip (benchmarks/look_ahead.py).
LOOK_AHEAD = 8
# Pixels that a tile overlaps its neighbours by: a step of VResNet or VDnCNN at its
# usual depth sees 12. At 8 pixels the seam has gone (benchmarks/tiles.py).
OVERLAP = 16


def restore(
    model: Any,
    frames: Iterable[ArrayLike],
    strategy: str | Strategy | None = None,
    *,
    look_ahead: int | None = None,
    tile: int | None = None,
    overlap: int | None = None,
) -> Iterator[np.ndarray]:
    """Restores frames one after another, in memory that does not grow.

    Every frame is restored, in order. For causal models the result equals the
    whole-clip call. A model that looks ahead (by `model.latency` frames) is flushed by
    repeating the last frame. Outputs are not clipped. If the model folds
    (`model.fold`), its folded twin runs.

    A bidirectional model (one of whole clips) restores windows of C frames, where C is
    the larger of 8 and twice `look_ahead`. A window also sees `look_ahead` frames
    before and after them, which other windows restore. That costs (C + 2 look_ahead) /
    C calls per frame. A video of at most C + 2 look_ahead frames is one whole-clip
    call; in a longer one, a frame may lack the influence of frames further away than
    `look_ahead`. Memory is that of a whole-clip call on C + 2 look_ahead frames; tiles
    make it smaller.

    Frames too large for the device's memory are cut into tiles (see `Tiled`), while
    the state stays on the host. The result equals the untiled one if `overlap` covers
    the receptive field of one step: 12 pixels for VResNet and VDnCNN at their usual
    depth.

    Args:
        model: a recurrent model with `initial_state`, `step`, `latency`, `scale`
            and `channels`; or a model of whole clips such as `ClipRestorer`.
        frames: iterable of [H, W, C] floating arrays, values in [0, 1] give or
            take noise; any number of them, all of the same size.
        strategy: how to run a model that may not be stable: None (as it is),
            "burst", "overlap", "dampen", "guard", or an instance of `Burst`,
            `Overlap`, `Dampen`, `Guard`.
        look_ahead: frames, 0 or more; for a bidirectional model only. Default: 8.
        tile: side of a tile in input pixels, overlap included. Default: no tiles.
        overlap: overlap of neighbouring tiles in pixels, per side, rounded up to a
            multiple of 8. Default: 16.

    Returns:
        Iterator of [scale H, scale W, C] float32 arrays, as many as `frames`.

    Raises:
        ValueError: the strategy is unknown or does not suit the model; `look_ahead`
            for a model that restores frame by frame; `tile` is too small for the
            overlap; `overlap` without `tile`; while iterating: no frames, or one of
            wrong rank, channels, dtype, size or range, or with NaN. The message names
            the frame, counting from 0.

    Example:
        >>> from stablevid_tf import models, streaming
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> frames = (np.full([32, 48, 3], t / 3) for t in range(3))
        >>> for frame in streaming.restore(model, frames):
        ...     print(frame.shape)
        (32, 48, 3)
        (32, 48, 3)
        (32, 48, 3)

        Large frames, a tile at a time:

        >>> large = [np.zeros([64, 96, 3])] * 2
        >>> len(list(streaming.restore(model, large, tile=64, overlap=8)))
        2
    """
    strategy = strategy_of(strategy)
    name = getattr(model, "name", type(model).__name__)
    if not (hasattr(model, "step") or hasattr(model, "predict_on_batch")):
        raise ValueError(
            f"{name} has neither `step` nor `predict_on_batch`. Give a model of "
            "stablevid_tf.models"
        )
    if not hasattr(model, "step"):
        run = _windows(name, strategy, look_ahead)
    elif look_ahead is not None:
        raise ValueError(
            f"{name} restores frame by frame and needs no look-ahead. "
            f"Received: look_ahead={look_ahead!r}. Leave look_ahead out"
        )
    else:
        run = strategy.run if strategy else steps
    fold = getattr(model, "fold", None)
    model = fold() if fold else model
    if tile is not None:
        model = Tiled(model, tile, OVERLAP if overlap is None else overlap)
    elif overlap is not None:
        raise ValueError(
            f"overlap needs tile. Received: overlap={overlap!r}, tile=None"
        )
    return run(model, _checked(frames, model.channels))


def _windows(name, strategy, ahead):
    """`run(model, frames)` of a bidirectional model."""
    if strategy is not None:
        raise ValueError(
            f"{name} is bidirectional: its state is reset at every window of frames, "
            f"so it needs no strategy. Leave strategy out. Received: {strategy!r}"
        )
    ahead = LOOK_AHEAD if ahead is None else ahead
    if isinstance(ahead, bool) or not isinstance(ahead, int) or ahead < 0:
        raise ValueError(
            f"look_ahead must be 0 frames or more. Received: look_ahead={ahead!r}"
        )
    return lambda model, frames: by_windows(model, frames, ahead)


def _checked(frames, channels):
    """Yields the frames as float32."""
    shape = None
    for index, frame in enumerate(frames):
        frame = np.asarray(frame)
        _check(frame, index, channels, shape)
        shape = frame.shape
        yield frame.astype(np.float32, copy=False)
    if shape is None:
        raise ValueError("`frames` is empty. Give at least one frame")


def _check(frame, index, channels, shape):
    if frame.ndim != 3 or frame.shape[-1] != channels or 0 in frame.shape:
        raise ValueError(
            f"frame {index} must be [height, width, {channels}]. "
            f"Received: shape {frame.shape}"
        )
    if not np.issubdtype(frame.dtype, np.floating):
        raise ValueError(
            f"frame {index} must be floating in [0, 1]. Received: {frame.dtype}; "
            "divide by 255"
        )
    if shape is not None and frame.shape != shape:
        raise ValueError(
            f"frame {index} is {frame.shape[1]}x{frame.shape[0]}, those before it "
            f"are {shape[1]}x{shape[0]}. Restore each size separately"
        )
    low, high = frame.min(), frame.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"frame {index} holds NaN or infinity")
    if low < -_LIMIT or high > _LIMIT:
        raise ValueError(
            f"frame {index} must be in [0, 1], give or take noise. Received: values "
            f"from {low:g} to {high:g}; divide by 255 if the range is 0..255"
        )
