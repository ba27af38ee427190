import math

import keras
from keras import ops

from stablevid_tf.cells.in_clips import fold_time, in_clips, unfold_time
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.cells.wdvr2d import WDVR2D, check_scale
from stablevid_tf.layers.pixel_shuffle import depth_to_space
from stablevid_tf.layers.repeat_conv3d import RepeatConv3D
from stablevid_tf.layers.weight_norm import WeightNorm
from stablevid_tf.layers.wide_activation import WideActivation
from stablevid_tf.numerics.geometry import check_size

_WHOLE, _SPACE, _TIME = (3, 3, 3), (1, 3, 3), (3, 1, 1)
# Activation width, kernels before the ReLU, kernel after it.
_DESIGNS = {
    "iai": (42, (_WHOLE,), _WHOLE),
    "ias": (64, (_WHOLE,), _SPACE),
    "stas": (88, (_SPACE, _TIME), _SPACE),
    "tsas": (122, (_TIME, _SPACE), _SPACE),
}
_EDGES = {"repeat": RepeatConv3D, "zeros": keras.layers.Conv3D}


@keras.saving.register_keras_serializable(package="stablevid_tf")
class WDVR3D(RecurrentVideoCell):
    """WDVR with 3D convolutions: a clip in, its restored frames out.

    ::

        x = frames - 0.5
        y = blocks(K_head * x)
        restored = depth_to_space(K_tail * y + K_skip * x) + 0.5

    A block (:class:`stablevid_tf.layers.WideActivation`, scaled by ``1 /
    sqrt(blocks)``) is one of four designs, kernels as time x height x width:

    ======  =====================  ========  ======  =====
    design  before the ReLU        after it  widest  block
    ======  =====================  ========  ======  =====
    iai     3x3x3                  3x3x3         42  72,650
    ias     3x3x3                  1x3x3         64  73,824
    stas    1x3x3, 3x1x1           1x3x3         88  74,128
    tsas    3x1x1 (narrow), 1x3x3  1x3x3        122  73,530
    ======  =====================  ========  ======  =====

    The last column counts parameters without gains. Every convolution is
    weight-normalised. The head and the tail are 1x3x3 and the skip 5x5x5, as in the
    authors' repository; the paper says that every 2D convolution is replaced by a 3D
    one (``inflated_ends``). Source: Fan et al., section 3.2, figure 4 and table 2.
    Its printed temporal ratios 1.00 and .31 follow from these widths; .50 (ias) and
    .06 (tsas) do not, which have .75 and .04.

    A clip network: there is no ``step``. Videos of any length are restored
    ``clip_length`` frames at a time, each clip with ``temporal_padding`` true frames
    before and after it, so that memory does not grow. **The result is exactly that of
    the whole video at once where** ``temporal_padding >= reach`` (half the temporal
    receptive field: ``2 blocks`` for iai, ``blocks`` for the others, one more for each
    of two inflated ends, at least 2); below, frames near a clip's end see its edge.
    The paper's padding 8 is below the 16 of 16 blocks; it saw no gain beyond 5. In
    training the clip given is seen as it is: give 20 frames for 4 of the paper's,
    and a loss on those.

    Args:
        design: ``"iai"``, ``"ias"``, ``"stas"`` or ``"tsas"``.
        features: channels between blocks.
        blocks: residual blocks.
        activations: channels where a block's ReLU acts; the design's by default.
        scale: 1, 2 or 4.
        clip_length: frames restored at a time outside training.
        temporal_padding: frames seen on either side of them.
        edges: what convolutions see before the first and after the last frame:
            ``"repeat"`` (the repository: their own input there again) or
            ``"zeros"``.
        inflated_ends: 3x3x3 head and tail.
        weight_norm: False for plain convolutions, as a folded model has them.
        **kwargs: see :class:`RecurrentVideoCell`.

    Call arguments:
        frames: [B, T, H, W, channels] in [0, 1].

    Output shape:
        [B, T, scale * H, scale * W, channels].

    Raises:
        ValueError: an argument outside these ranges; a ``constraint``, which 3D
            convolutions do not have.
    """

    causal = False
    paper = WDVR2D.paper
    task = "super-resolution"
    settled = ("window", "constraint")
    can_number = False

    def __init__(
        self,
        design="tsas",
        features=32,
        blocks=16,
        activations=None,
        scale=4,
        clip_length=20,
        temporal_padding=8,
        edges="repeat",
        inflated_ends=False,
        weight_norm=True,
        **kwargs,
    ):
        super().__init__(scale=scale, **kwargs)
        check_scale(scale)
        for name, value, allowed in (
            ("design", design, _DESIGNS),
            ("edges", edges, _EDGES),
        ):
            if value not in allowed:
                raise ValueError(
                    f"{name} must be one of {list(allowed)}. Received: {value!r}"
                )
        if self.window != 1 or self.constraint is not None:
            raise ValueError(
                "wdvr3d sees the whole clip (window=1), and no constraint holds its 3D "
                f"convolutions. Received: window={self.window}, "
                f"constraint={self.constraint!r}"
            )
        if not isinstance(temporal_padding, int) or temporal_padding < 0:
            raise ValueError(
                "temporal_padding must be 0 or more frames. "
                f"Received: {temporal_padding!r}"
            )
        width, before, after = _DESIGNS[design]
        activations = width if activations is None else activations
        sizes = {
            "features": features,
            "blocks": blocks,
            "activations": activations,
            "clip_length": clip_length,
        }
        for name, size in sizes.items():
            check_size(name, size)
        self.design = design
        self.features = features
        self.blocks = blocks
        self.activations = activations
        self.clip_length = clip_length
        self.temporal_padding = temporal_padding
        self.edges = edges
        self.inflated_ends = inflated_ends
        self.weight_norm = weight_norm
        # TSAS convolves in time while the features are narrow.
        widths = [features] if before[0] == _TIME else [activations]
        widths = [*widths, activations][: len(before)]
        self.body = [
            WideActivation(
                [self._conv(*at) for at in zip(widths, before, strict=True)],
                self._conv(features, after),
                scale=1 / math.sqrt(blocks),
                dtype=self.dtype_policy,
            )
            for _ in range(blocks)
        ]
        images, end = self.channels * scale**2, _WHOLE if inflated_ends else _SPACE
        self.head = self._conv(features, end)
        self.tail = self._conv(images, end)
        # float32 whatever the policy: what sees the frames alone rounds nothing.
        self.skip = self._conv(images, (5, 5, 5), dtype="float32")

    def _conv(self, filters, kernel_size, dtype=None):
        conv = _EDGES[self.edges](
            filters, kernel_size, padding="same", dtype=dtype or self.dtype_policy
        )
        return WeightNorm(conv) if self.weight_norm else conv

    @property
    def reach(self):
        """Frames on either side that a restored frame depends on."""
        before, after = _DESIGNS[self.design][1:]
        deep = self.blocks * sum(kernel[0] // 2 for kernel in (*before, after))
        return max(2, deep + 2 * self.inflated_ends)

    def build_by_call(self):
        self.compute_output_spec(keras.KerasTensor((1, 1, 8, 8, self.channels)))
        self.built = True

    def call(self, frames, training=False):
        total = ops.shape(frames)[1]
        seen = self.clip_length + 2 * self.temporal_padding
        if training or (isinstance(total, int) and total <= seen):
            return self._at_once(frames)
        if not isinstance(total, int):
            seen = ops.minimum(total, seen)

        def clip(start):
            # True frames around it; at the video's ends the clip is not centred.
            first = ops.clip(start - self.temporal_padding, 0, total - seen)
            near = ops.take(frames, first + ops.arange(seen, dtype="int32"), axis=1)
            at = start - first + ops.arange(self.clip_length, dtype="int32")
            return ops.take(self._at_once(near), ops.minimum(at, seen - 1), axis=1)

        return in_clips(clip, total, self.clip_length)

    def _at_once(self, frames):
        x = ops.cast(frames, "float32") - 0.5
        y = self.head(x)
        for block in self.body:
            y = block(y)
        out = ops.cast(self.tail(y), "float32") + self.skip(x)
        images = depth_to_space(fold_time(out), self.scale)
        return unfold_time(images, ops.shape(frames)[1]) + 0.5

    def loops(self):
        return []

    def get_config(self):
        return super().get_config() | {
            "design": self.design,
            "features": self.features,
            "blocks": self.blocks,
            "activations": self.activations,
            "clip_length": self.clip_length,
            "temporal_padding": self.temporal_padding,
            "edges": self.edges,
            "inflated_ends": self.inflated_ends,
            "weight_norm": self.weight_norm,
        }
