import keras
from keras import ops

_PADDINGS = ("zeros", "border")


@keras.saving.register_keras_serializable(package="stablevid_tf")
class FlowWarp(keras.layers.Layer):
    """Backward warp: every pixel is fetched from where its flow points to.

    ``y(i, j) = x(i + v(i, j), j + u(i, j))``, interpolated bilinearly between the four
    pixels around; ``u, v`` is the flow in pixels, to the right and downwards.

    Source: Jaderberg et al., "Spatial Transformer Networks", 2015; the flows and
    paddings of FRVSR and BasicVSR. Written with gathers and Keras ops alone: it is
    differentiable in both arguments and exports to SavedModel, LiteRT and ONNX. A
    whole number of pixels moves pixels bit for bit.

    Weights are not negative and sum to 1 at most: ``max |y| <= max |x|``.

    Args:
        padding: what lies outside the picture: ``"zeros"``, or ``"border"`` for the
            nearest pixel.
        align_corners: published code divides positions by ``W - 1`` (``H - 1``) so that
            the outermost pixel centres become -1 and 1, and hands them to a
            ``grid_sample``. True: that one takes -1 and 1 for these centres too, so
            flows are pixels. False: it takes -1 and 1 for the outer EDGES of these
            pixels, and position ``p`` is read at ``p W / (W - 1) - 1/2``: half a pixel
            further out on each side, so a flow of zero moves pixels. Only for weights
            that were trained so.

    Call arguments:
        x: [B, H, W, C], any floating type.
        flow: [B, H, W, 2], in pixels. Positions are computed in float32 whatever the
            policy; what is not finite gives an undefined pixel, never an error.

    Output shape:
        [B, H, W, C], of the type of ``x``.

    Raises:
        ValueError: another padding.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.layers import FlowWarp
        >>> x = np.arange(4, dtype="float32").reshape(1, 1, 4, 1)
        >>> right = np.zeros((1, 1, 4, 2), "float32") + [1.0, 0.0]
        >>> FlowWarp("border")(x, right)[0, 0, :, 0].numpy().tolist()
        [1.0, 2.0, 3.0, 3.0]
    """

    def __init__(self, padding="zeros", align_corners=True, **kwargs):
        # No autocast: flows must not be rounded to half precision.
        super().__init__(autocast=False, **kwargs)
        if padding not in _PADDINGS:
            raise ValueError(
                f"padding must be one of {_PADDINGS}. Received: {padding!r}"
            )
        self.padding = padding
        self.align_corners = align_corners

    def call(self, x, flow):
        batch, height, width, channels = ops.shape(x)
        flow = ops.cast(flow, "float32")
        rows = ops.arange(height, dtype="float32")[:, None] + flow[..., 1]
        columns = ops.arange(width, dtype="float32") + flow[..., 0]
        top, bottom, down = self._around(rows, height)
        left, right, across = self._around(columns, width)
        pixels = ops.reshape(x, (batch * height * width, channels))
        first = ops.arange(batch, dtype="int32")[:, None, None] * (height * width)
        exact = keras.backend.result_type(x.dtype, "float32")

        def at(row, column):
            (row, row_inside), (column, column_inside) = row, column
            found = ops.take(pixels, first + row * width + column, axis=0)
            found = ops.cast(found, exact)
            if self.padding == "border":
                return found
            return ops.where((row_inside & column_inside)[..., None], found, 0.0)

        def between(a, b, weight):
            weight = ops.cast(weight[..., None], exact)
            return (1 - weight) * a + weight * b

        above = between(at(top, left), at(top, right), across)
        below = between(at(bottom, left), at(bottom, right), across)
        return ops.cast(between(above, below, down), x.dtype)

    def _around(self, position, size):
        """Of positions along an axis: the pixels around, and the weight of the later.

        A pixel is ``(index within the picture, whether it really lies there)``.
        """
        size = ops.cast(size, "float32")
        if not self.align_corners:
            position = position * (size / ops.maximum(size - 1, 1)) - 0.5
        # Further out nothing changes, and no index overflows.
        out = 0.0 if self.padding == "border" else 1.0
        position = ops.clip(position, -out, size - 1 + out)
        before = ops.floor(position)

        def pixel(index):
            nearest = ops.clip(index, 0.0, size - 1)
            # The second clip: what a position that is no number becomes is undefined.
            last = ops.cast(size, "int32") - 1
            whole = ops.clip(ops.cast(nearest, "int32"), 0, last)
            return whole, nearest == index

        return pixel(before), pixel(before + 1), position - before

    def compute_output_shape(self, x_shape, flow_shape=None):
        return tuple(x_shape)

    def compute_output_spec(self, x, flow):
        return keras.KerasTensor(x.shape, x.dtype)

    def get_config(self):
        return super().get_config() | {
            "padding": self.padding,
            "align_corners": self.align_corners,
        }
