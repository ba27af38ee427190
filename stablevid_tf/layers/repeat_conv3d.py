import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stablevid_tf")
class RepeatConv3D(keras.layers.Conv3D):
    """A same-padded 3D convolution that repeats the clip's first and last frame.

    ``y(t) = K * [x(t - r), ..., x(t + r)]`` with ``x(t) = x(0)`` before the clip and
    ``x(T - 1)`` after it; zeros around the frame, as a plain same-padded convolution
    has them. Source: the replication padding in time of WDVR's repository.

    Args:
        filters: output channels.
        kernel_size: odd integer or triple (time, height, width).
        **kwargs: as of ``keras.layers.Conv3D``, but for padding, strides and
            dilation.

    Call arguments:
        inputs: [B, T, H, W, cin].

    Output shape:
        [B, T, H, W, filters].

    Raises:
        ValueError: an even kernel size, or strides, dilation, or another padding.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.layers import RepeatConv3D
        >>> layer = RepeatConv3D(1, (3, 1, 1), kernel_initializer="ones")
        >>> layer(np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1, 1)).numpy().ravel()
        array([ 4.,  7., 10.], dtype=float32)
    """

    def __init__(self, filters, kernel_size, **kwargs):
        kwargs = {"padding": "same", "data_format": "channels_last", **kwargs}
        super().__init__(filters, kernel_size, **kwargs)
        steps = (*self.strides, *self.dilation_rate)
        if self.padding != "same" or set(steps) != {1}:
            raise ValueError(
                "RepeatConv3D pads to the same size, without strides and dilation. "
                f"Received: padding={self.padding!r}, strides={self.strides}, "
                f"dilation_rate={self.dilation_rate}"
            )
        if any(taps % 2 == 0 for taps in self.kernel_size):
            raise ValueError(
                "RepeatConv3D takes odd kernel sizes. "
                f"Received: kernel_size={self.kernel_size}"
            )

    def convolution_op(self, inputs, kernel):
        time, *space = (taps // 2 for taps in self.kernel_size)
        repeated = ops.concatenate(
            [*[inputs[:, :1]] * time, inputs, *[inputs[:, -1:]] * time], axis=1
        )
        around = ((0, 0), (0, 0), *((n, n) for n in space), (0, 0))
        return ops.conv(
            ops.pad(repeated, around),
            kernel,
            padding="valid",
            data_format="channels_last",
        )
