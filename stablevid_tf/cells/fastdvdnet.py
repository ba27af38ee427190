import keras
from keras import ops

from stablevid_tf.cells.in_clips import fold_time, unfold_time
from stablevid_tf.cells.three_frame_unet import ThreeFrameUNet
from stablevid_tf.cells.window_network import WindowNetwork
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers.reflect import reflect_to_multiple
from stablevid_tf.numerics.geometry import check_size


@keras.saving.register_keras_serializable(package="stablevid_tf")
class FastDVDnet(WindowNetwork):
    """FastDVDnet: five noisy frames, two stages of three frames each.

    ::

        z(s) = first(x(s-1), x(s), x(s+1))          s = t-1, t, t+1, one network
        y(t) = second(z(t-1), z(t), z(t+1))

    Both are U-nets with batch normalisation
    (:class:`stablevid_tf.cells.three_frame_unet.ThreeFrameUNet`) that also see the
    noise level. Frames are reflected at the bottom and right to sizes that 4 divides.
    Source: Tassano et al., "FastDVDnet: Towards Real-Time Deep Video Denoising
    Without Flow Estimation", 2020.

    2 x 1,239,548 = 2,479,096 trained parameters, and 4,456 statistics: the paper's
    2.49 million are those of a first convolution without groups (2,492,056).

    The source mirrors a video in time at its ends; here the first and the last frame
    are repeated, as everywhere in this library, so that a stream, which does not know
    where it will end, and a whole clip give the same frames.

    Args:
        sigma: the noise's standard deviation that the network is told, in 1/255; 0 to
            255.
        features: channels at full size.
        frame_features: channels that each frame gets by itself.
        **kwargs: see :class:`WindowNetwork`; ``scale`` is 1 and ``window`` 5.

    Raises:
        ValueError: an argument outside these ranges.
    """

    paper = (
        "Tassano et al., FastDVDnet: Towards Real-Time Deep Video Denoising "
        "Without Flow Estimation, 2020"
    )
    task = "denoising"
    settled = ("scale", "window")

    def __init__(self, sigma=30.0, features=32, frame_features=30, **kwargs):
        super().__init__(**{"window": 5, **kwargs})
        if (self.window, self.scale) != (5, 1):
            raise ValueError(
                "FastDVDnet sees five frames and keeps their size. Received: "
                f"window={self.window}, scale={self.scale}"
            )
        if not 0 <= sigma <= 255:
            raise ValueError(f"sigma is in 1/255, 0 to 255. Received: sigma={sigma!r}")
        check_size("features", features)
        check_size("frame_features", frame_features)
        self.sigma = float(sigma)
        self.features = features
        self.frame_features = frame_features
        self.first, self.second = (
            ThreeFrameUNet(
                self._conv,
                features,
                frame_features,
                self.channels,
                dtype=self.dtype_policy,
            )
            for _ in range(2)
        )

    def _conv(self, filters, role, **kwargs):
        return conv2d(
            self.constraint,
            filters,
            role=role,
            use_bias=False,
            dtype=self.dtype_policy,
            **kwargs,
        )

    def call(self, frames, state):
        # One window: a clip of five frames, of which the middle one is restored.
        clip = ops.stack(ops.split(frames, self.window, axis=-1), axis=1)
        return self.together(clip)[:, 0], state

    def together(self, frames):
        # Every first-stage frame is computed once, not for three frames anew.
        time, height, width = ops.shape(frames)[1:4]
        x = reflect_to_multiple(fold_time(ops.cast(frames, "float32")), 4)
        x = unfold_time(x, time)
        for unet in (self.first, self.second):
            time = time - 2
            three = [fold_time(x[:, i : i + time]) for i in range(3)]
            noise = self.sigma / 255.0 * ops.ones_like(three[1][..., :1])
            x = unfold_time(unet(three, noise), time)
        return x[:, :, :height, :width]

    def get_config(self):
        return super().get_config() | {
            "sigma": self.sigma,
            "features": self.features,
            "frame_features": self.frame_features,
        }
