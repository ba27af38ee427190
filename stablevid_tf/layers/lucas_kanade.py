import keras
from keras import ops

from stablevid_tf.layers import bilinear
from stablevid_tf.layers.flow_warp import FlowWarp
from stablevid_tf.layers.reflect import reflect_to_multiple
from stablevid_tf.numerics.geometry import check_size

# All constants: chosen by the errors that benchmarks/alignment.py measures.
# Windows, in pixels of each level: over which motion is one, over which a flow is
# smoothed, and over which the errors before and after a level are compared.
_WINDOW, _SMOOTH, _TRIAL = 7, 7, 21
# A correction that divides the squared error by less than the first is left out; by the
# second or more, taken wholly; between them, in part.
_NOTHING, _WHOLLY = 1.15, 1.4
# How strongly the squared error, most of it noise, and a constant hold it back.
_DAMPING, _LEAST = 0.05, 1e-4


@keras.saving.register_keras_serializable(package="stablevid_tf")
class LucasKanade(keras.layers.Layer):
    """Optical flow of noisy frames from coarse to fine, without weights.

    At each level, coarsest first, with `a` and `b` the current and the previous frame,
    grey (the mean of the channels), averaged over blocks of `2^level` pixels and then
    smoothed by [1 2 1] / 4 along both axes:

    ```
    u = 2 enlarge(f of the level before), 0 at the coarsest;      f = u
    repeat:
        w = warp(b, f);    e = w - a;    g = grad((a + w) / 2)
        A = mean(g g^T);   k = mean(g e);    l = 0.05 mean(e^2) + 1e-4
        f = mean(f + clip(u - f + (A + l I)^-1 (A (f - u) - k), -1, 1))
    f = u + clip((mean(e_u^2) / (mean(e_f^2) + 1e-7) - 1.15) / 0.25, 0, 1) (f - u)
    ```

    `mean` is over the 7x7 pixels around each, in the last line over 21x21, as far as
    they lie in the picture. `e_u` and `e_f` are the errors `warp(b, .) - a` of the flow
    before and after the level. `grad` is `(x(i + 1) - x(i - 1)) / 2` along one axis and
    [1 2 1] / 4 along the other (Sobel). Here and in the smoothing the last pixel is
    repeated beyond the edge. `enlarge` is bilinear. Frames are first padded by
    reflection, at the bottom and on the right, to multiples of `2^levels`. The flow of
    the last level, `finest`, is enlarged `2^finest` times and cut to the frames' size.

    This is the method of Lucas and Kanade ("An iterative image registration technique
    with an application to stereo vision", 1981) in every pixel, coarse to fine
    (Bouguet, "Pyramidal implementation of the Lucas Kanade feature tracker", 2001),
    with two changes for noise: the error holds the correction of each level back, and
    it is left out where it hardly lowers the error. So noise alone makes a still scene
    move little.

    Args:
        levels: halvings of the frames; 5 follow motion of some 40 pixels a frame.
        finest: the last level, which is enlarged to the frames' size: 0 is that size,
            1 half of it, which takes a quarter of the time.
        iterations: at each level.

    Call arguments:
        previous, current: [B, H, W, C] in [0, 1], any H and W.

    Output shape:
        [B, H, W, 2], float32: for each pixel of the current frame where it lay in the
        previous one, in pixels to the right and downwards, as `FlowWarp` takes it. No
        gradient passes through it.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.layers import LucasKanade
        >>> frame = np.random.default_rng(0).random((1, 32, 48, 3))
        >>> flow = LucasKanade()(frame, np.roll(frame, 1, axis=2))
        >>> flow.shape
        TensorShape([1, 32, 48, 2])
    """

    def __init__(self, levels=5, finest=0, iterations=1, **kwargs):
        super().__init__(autocast=False, **kwargs)
        check_size("levels", levels)
        check_size("iterations", iterations)
        if finest not in range(levels + 1):
            raise ValueError(
                f"finest is a level from 0 to levels={levels}. Received: {finest!r}"
            )
        self.levels = levels
        self.finest = finest
        self.iterations = iterations
        self.warp = FlowWarp("border", dtype="float32")

    def build(self, previous_shape, current_shape):
        self.warp.build(previous_shape)

    def call(self, previous, current):
        _, height, width, _ = ops.shape(current)
        flow = None
        pairs = zip(self._pyramid(previous), self._pyramid(current), strict=True)
        for before, after in pairs:
            if flow is None:
                flow = ops.zeros((*ops.shape(after)[:3], 2), "float32")
            else:
                flow = 2.0 * bilinear.enlarge(flow, 2)
            flow = self._corrected(flow, before, after)
        flow = 2**self.finest * bilinear.enlarge(flow, 2**self.finest)
        return flow[:, :height, :width]

    def _pyramid(self, frame):
        """Grey frames, coarsest first, padded by reflection."""
        x = ops.stop_gradient(ops.cast(frame, "float32"))
        x = ops.mean(reflect_to_multiple(x, 2**self.levels), axis=-1, keepdims=True)
        found = []
        for level in range(self.levels + 1):
            if level:
                x = ops.average_pool(x, 2, strides=2, data_format="channels_last")
            if level >= self.finest:
                found.insert(0, _smoothed(x))
        return found

    def _corrected(self, start, before, after):
        """The flow of a level, from the one of the level before."""
        flow = start
        warped = self.warp(before, flow)
        first = error = warped - after
        for _ in range(self.iterations):
            flow = self._iterated(flow, start, error, 0.5 * (warped + after))
            warped = self.warp(before, flow)
            error = warped - after
        both = _mean(ops.concatenate([first, error], axis=-1) ** 2, _TRIAL)
        gain = both[..., :1] / (both[..., 1:] + 1e-7)
        taken = ops.clip((gain - _NOTHING) / (_WHOLLY - _NOTHING), 0.0, 1.0)
        return start + taken * (flow - start)

    def _iterated(self, flow, start, error, mid):
        """One step of Lucas and Kanade, held back towards `start`."""
        down, right = _slope(mid, 1), _slope(mid, 2)
        terms = [right**2, right * down, down**2, right * error, down * error, error**2]
        means = _mean(ops.concatenate(terms, axis=-1), _WINDOW)
        xx, xy, yy, xe, ye, ee = (means[..., i : i + 1] for i in range(6))
        held = _DAMPING * ee + _LEAST
        moved = flow - start
        x, y = moved[..., :1], moved[..., 1:]
        x, y = xx * x + xy * y - xe, xy * x + yy * y - ye
        xx, yy = xx + held, yy + held
        solved = ops.concatenate([yy * x - xy * y, xx * y - xy * x], axis=-1)
        wanted = solved / (xx * yy - xy**2)
        return _mean(flow + ops.clip(wanted - moved, -1.0, 1.0), _SMOOTH)

    def compute_output_shape(self, previous_shape, current_shape):
        return (*current_shape[:-1], 2)

    def compute_output_spec(self, previous, current):
        # float32 whatever the policy: a flow is never rounded.
        shape = self.compute_output_shape(previous.shape, current.shape)
        return keras.KerasTensor(shape, "float32")

    def get_config(self):
        return super().get_config() | {
            "levels": self.levels,
            "finest": self.finest,
            "iterations": self.iterations,
        }


def _beside(x, axis):
    """`x(i - 1)` and `x(i + 1)`; beyond the edge the last pixel."""
    before, after = bilinear.neighbours(ops.swapaxes(x, 1, axis))
    return ops.swapaxes(before, 1, axis), ops.swapaxes(after, 1, axis)


def _smoothed(x, axes=(1, 2)):
    """[1 2 1] / 4 along each axis."""
    for axis in axes:
        before, after = _beside(x, axis)
        x = 0.25 * (before + after) + 0.5 * x
    return x


def _slope(x, axis):
    """Sobel's derivative along an axis, for each pixel."""
    before, after = _beside(_smoothed(x, (3 - axis,)), axis)
    return 0.5 * (after - before)


def _mean(x, size):
    """The mean over size x size pixels around each, of those in the picture."""
    for window in ((size, 1), (1, size)):
        x = ops.average_pool(
            x, window, strides=1, padding="same", data_format="channels_last"
        )
    return x
