"""VDnCNN and VResNet: what the cells of the SRN-C paper have in common."""

from keras import ops

from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers.conv_stage import ConvStage
from stablevid_tf.layers.pixel_shuffle import depth_to_space
from stablevid_tf.layers.residual_stage import ResidualStage
from stablevid_tf.numerics.geometry import check_size

# Stages of the body in the paper: ten convolutions either way.
DEFAULT_STAGES = {"vdncnn": 10, "vresnet": 5}


class BackboneCell(RecurrentVideoCell):
    """Input convolution, a body of stages, output convolution.

    Source: Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent Video
    Processing", section 3. A stage of VDnCNN is ``relu(K * x)``, one of VResNet
    ``x + K2 * relu(K1 * x)``. Subclasses say what else a stage or the input
    convolution sees.

    Args:
        backbone: ``"vdncnn"`` or ``"vresnet"``.
        features: channels inside.
        stages: of the body; default 10 (vdncnn) or 5 (vresnet).
        skip: add the frame to the output, so that the network predicts the noise
            (DnCNN's convention; the paper does not say). At scale s the frame is
            repeated s^2 times before depth-to-space (nearest neighbour).
        noise_map: each frame comes with one channel more, the noise's standard
            deviation at each pixel, in the frame's own unit (30 of 255 is 0.118):
            one network for many noise levels, as FFDNet and FastDVDnet are.
        **kwargs: see :class:`RecurrentVideoCell`.
    """

    paper = (
        "Tanay et al., Diagnosing and Preventing Instabilities in Recurrent Video "
        "Processing, 2022"
    )
    task = "denoising"

    def __init__(
        self,
        backbone="vresnet",
        features=64,
        stages=None,
        skip=True,
        noise_map=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if backbone not in DEFAULT_STAGES:
            raise ValueError(
                f"backbone must be one of {sorted(DEFAULT_STAGES)}. "
                f"Received: {backbone!r}"
            )
        stages = DEFAULT_STAGES[backbone] if stages is None else stages
        check_size("features", features)
        check_size("stages (blocks, depth)", stages)
        self.backbone = backbone
        self.features = features
        self.stages = stages
        self.skip = skip
        self.noise_map = noise_map
        self.head = self._head()
        self.body = [self._stage(i) for i in range(self.stages)]
        self.tail = self._conv(
            self.channels * self.scale**2, role="tail", loop=self._tail_on_loop()
        )

    @property
    def frame_channels(self):
        return self.channels + self.noise_map

    # Where the loops run: the input channels [start, stop) of a convolution that lie
    # on one, or None. A recurrence overrides what it needs.

    def _head(self):
        return self._conv(self.features, role="head")

    def _stage_on_loop(self, index):
        return None

    def _tail_on_loop(self):
        return None

    def _conv(self, filters, role="body", loop=None):
        return conv2d(
            self.constraint, filters, role=role, loop=loop, dtype=self.dtype_policy
        )

    def _stage(self, index):
        first = self._conv(self.features, loop=self._stage_on_loop(index))
        if self.backbone == "vdncnn":
            return ConvStage(first, dtype=self.dtype_policy)
        whole = (None, None) if self._stage_on_loop(index) else None
        second = self._conv(self.features, loop=whole)
        return ResidualStage(first, second, dtype=self.dtype_policy)

    def features_of(self, frames):
        """``relu(K_in * frames)``: [B, H, W, features]."""
        return ops.relu(self.head(frames))

    def write(self, x, frames):
        """The restored frame in low resolution: [B, H, W, channels * scale^2].

        float32 whatever the policy: the frame itself is never rounded.
        """
        out = ops.cast(self.tail(x), "float32")
        if self.skip:
            frame = ops.cast(self.centre(frames), "float32")
            out = out + ops.concatenate([frame] * self.scale**2, axis=-1)
        return out

    def image(self, out):
        """Depth-to-space: [B, H, W, C s^2] -> [B, s H, s W, C]."""
        return depth_to_space(out, self.scale)

    def get_config(self):
        return super().get_config() | {
            "backbone": self.backbone,
            "features": self.features,
            "stages": self.stages,
            "skip": self.skip,
            "noise_map": self.noise_map,
        }
