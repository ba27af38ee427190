import numpy as np

from stablevid_tf.streaming.steps import steps
from stablevid_tf.streaming.strategies import strategy_of

# Noise of sigma 100/255 stays within; values of 0..255 do not.
_LIMIT = 4.0


def restore(model, frames, strategy=None):
    """Restores frames one after another, in memory that does not grow.

    Every frame that comes in goes out, in order. For causal models the result
    equals the whole-clip call. A model that looks ahead (`model.latency` frames)
    is flushed by repeating the last frame. Nothing is clipped. If the model folds
    (`model.fold`), its folded twin does the work.

    Args:
        model: a recurrent model with `initial_state`, `step`, `latency`, `scale`
            and `channels`.
        frames: iterable of [H, W, C] floating arrays, values in [0, 1] give or
            take noise; any number of them, all of one size.
        strategy: how to run a model that may not be stable: None (as it is),
            "burst", "overlap", "dampen", "guard", or an instance of `Burst`,
            `Overlap`, `Dampen`, `Guard`.

    Returns:
        Iterator of [scale H, scale W, C] float32 arrays, as many as came in.

    Raises:
        ValueError: the model has no `step`; an unknown strategy, or one that does
            not suit the model; while iterating: no frames, or one of wrong rank,
            channels, dtype, size or range, or with NaN. The message names the frame,
            counting from 0.

    Example:
        >>> from stablevid_tf import models, streaming
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> frames = (np.full([32, 48, 3], t / 3) for t in range(3))
        >>> for frame in streaming.restore(model, frames):
        ...     print(frame.shape)
        (32, 48, 3)
        (32, 48, 3)
        (32, 48, 3)
    """
    strategy = strategy_of(strategy)
    if not hasattr(model, "step"):
        raise ValueError(
            f"{getattr(model, 'name', model)!r} has no `step`: it needs the frames "
            "after as well as before. Call it on a whole clip: model.predict(clip)"
        )
    fold = getattr(model, "fold", None)
    run = strategy.run if strategy else steps
    return run(fold() if fold else model, _checked(frames, model.channels))


def _checked(frames, channels):
    """Yields the frames as float32."""
    shape = None
    for index, frame in enumerate(frames):
        frame = np.asarray(frame)
        _check(frame, index, channels, shape)
        shape = frame.shape
        yield frame.astype(np.float32, copy=False)
    if shape is None:
        raise ValueError("no frames came in; give at least one")


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
            f"{shape[1]}x{shape[0]}; restore each size by itself"
        )
    low, high = frame.min(), frame.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"frame {index} holds NaN or infinity")
    if low < -_LIMIT or high > _LIMIT:
        raise ValueError(
            f"frame {index} must be in [0, 1], give or take noise. Received: values "
            f"from {low:g} to {high:g}; divide by 255 if they are of 0..255"
        )
