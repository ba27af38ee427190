import keras
from keras import ops

from stablevid_tf.layers.srnc_conv2d import SRNCConv2D


@keras.saving.register_keras_serializable(package="stablevid_tf")
class SRNCConv2DTranspose(SRNCConv2D):
    """Transposed 2D convolution with stable rank normalisation (SRN-C).

    The layer applies the adjoint of the strided convolution with ``alpha * K~``. An
    operator and its adjoint have the same singular values, so spectral norm and stable
    rank are held on that convolution, as :class:`SRNCConv2D` does. The SRN-C paper has
    no transposed convolutions: that they are constrained in this way is our reading of
    "all convolutions".

    Args:
        filters, kernel_size, strides: as in ``keras.layers.Conv2DTranspose``.
        padding: ``"same"`` only: the output has ``strides`` times the input's sides.
        frame_size: side of the OUTPUT map that the norms are taken on, in pixels.
        **kwargs: see :class:`SRNCConv2D`.

    Call arguments:
        inputs: [B, H, W, cin], any H and W.
        training: True uses the warm vectors and moves them on.

    Output shape:
        [B, strides * H, strides * W, filters].

    Raises:
        ValueError: another padding, and as :class:`SRNCConv2D`.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.layers import SRNCConv2DTranspose
        >>> layer = SRNCConv2DTranspose(4, 3, strides=2, alpha=2.0, frame_size=16)
        >>> layer(np.zeros((1, 5, 6, 8), "float32")).shape
        TensorShape([1, 10, 12, 4])
        >>> tuple(layer.kernel.shape)      # as Keras keeps it: [k, k, filters, cin]
        (3, 3, 4, 8)
    """

    PLAIN = keras.layers.Conv2DTranspose

    def __init__(self, filters, kernel_size, **kwargs):
        super().__init__(filters, kernel_size, **kwargs)
        if self.padding != "same":
            raise ValueError(
                "A constrained transposed convolution has padding 'same'. Received: "
                f"{self.padding!r}"
            )

    def kernel_shape(self, channels):
        return (*self.kernel_size, self.filters, channels)

    def convolve(self, inputs, kernel):
        return ops.conv_transpose(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            data_format="channels_last",
        )

    def compute_output_shape(self, input_shape):
        batch, *space, _ = input_shape
        pairs = zip(space, self.strides, strict=True)
        return (batch, *(n if n is None else n * s for n, s in pairs), self.filters)
