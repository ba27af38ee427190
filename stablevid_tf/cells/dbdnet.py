import keras
from keras import ops

from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import conv2d
from stablevid_tf.layers.loop import ConvSlice, Loop
from stablevid_tf.numerics.geometry import check_size

_DEPTH = 8  # convolutions of each branch


@keras.saving.register_keras_serializable(package="stablevid_tf")
class DBDNet(RecurrentVideoCell):
    """DBDNet, deep burst denoising: a single-frame branch that a recurrent one follows.

    ::

        S_1 = relu(K_1 * frame)    S_i = relu(K_i * S_(i-1))       S_8 = K_8 * S_7
        M_1(t) = relu(L_1 * [S_1, M_1(t-1)])
        M_i(t) = relu(L_i * [S_i, M_(i-1)(t), M_i(t-1)])           i = 2 ... 7
        y(t)   = L_8 * [S_8, M_7(t), y(t-1)]                       feedback
        y(t)   = L_8 * M_7(t)                                      without

    The state is all ``M_i(t-1)``, then ``y(t-1)`` with feedback; zero at first. No
    skip from the input. Source: Godard et al., "Deep Burst Denoising", 2018, where
    every layer of the second branch sees its own last output: the default. Tanay et
    al. say it of "each convolution+ReLU block", and the last has no ReLU
    (``feedback=False``); both count "965k".

    The paper holds both branches' pictures to the truth. ``model.fit`` does so: its
    loss is the mean of those of ``y`` and of ``S_8`` (:meth:`auxiliary`), metrics and
    ``predict`` see ``y`` alone.

    Its loops, one a layer of the second branch: the slice that sees its own last
    output.

    Args:
        features: channels inside.
        feedback: whether the last convolution sees ``S_8`` and its own last output.
        constraint, **kwargs: see :class:`RecurrentVideoCell`.
    """

    paper = "Godard et al., Deep Burst Denoising, 2018"
    task = "denoising"

    settled = ("scale", "window")

    def __init__(self, features=64, feedback=True, constraint=None, **kwargs):
        super().__init__(constraint=constraint, **kwargs)
        if (self.scale, self.window) != (1, 1):
            raise ValueError(
                "DBDNet restores at scale 1 and sees one frame. Received: scale="
                f"{self.scale}, window={self.window}"
            )
        check_size("features", features)
        self.features = features
        self.feedback = feedback
        self.single = [
            self._conv(features, "head"),
            *(self._conv(features) for _ in range(_DEPTH - 2)),
            self._conv(self.channels, "tail"),
        ]
        entries = [features] + [2 * features] * (_DEPTH - 2)
        self.multi = [self._conv(features, loop=(entry, None)) for entry in entries]
        last = (self.channels + features, None) if feedback else None
        self.multi.append(self._conv(self.channels, "tail", last))

    def _conv(self, filters, role="body", loop=None):
        return conv2d(
            self.constraint, filters, role=role, loop=loop, dtype=self.dtype_policy
        )

    def initial_state(self, frame):
        state = [self.zeros(frame, self.features) for _ in self.multi[:-1]]
        if self.feedback:
            state.append(ops.cast(self.zeros(frame, self.channels), "float32"))
        return tuple(state)

    def call(self, frames, state):
        of_frame = self._single(frames)
        new, below = [], []
        for i, conv in enumerate(self.multi[:-1]):
            seen = ops.concatenate([of_frame[i], *below, state[i]], axis=-1)
            below = [ops.relu(conv(seen))]
            new += below
        if self.feedback:
            previous = ops.cast(state[-1], self.compute_dtype)
            below = [of_frame[-1], *below, previous]
        y = self.multi[-1](ops.concatenate(below, axis=-1))
        y = ops.cast(y, "float32")
        return y, (*new, y) if self.feedback else tuple(new)

    def _single(self, x):
        """S_1 ... S_8 of frames [B, H, W, inputs]."""
        found = []
        for conv in self.single[:-1]:
            x = ops.relu(conv(x))
            found.append(x)
        return [*found, self.single[-1](x)]

    def auxiliary(self, frames, before=0):
        """The single-frame branch's pictures of a clip, which training needs too.

        Args:
            frames: [B, T, H, W, channels].
            before: frames of the video before the clip, an integer or int32 [B].

        Returns:
            [B, T, H, W, channels], float32.
        """
        batch, time, height, width, _ = ops.shape(frames)
        seen = self.numbered_clip(frames, before)
        pictures = ops.reshape(seen, (batch * time, height, width, self.inputs))
        pictures = ops.cast(self._single(pictures)[-1], "float32")
        return ops.reshape(pictures, (batch, time, height, width, self.channels))

    def loops(self):
        f, (first, *rest, last) = self.features, self.multi
        found = [Loop("M1", ConvSlice(first, f))]
        for i, conv in enumerate(rest, 2):
            feed = (ConvSlice(conv, f, 2 * f),)
            found.append(Loop(f"M{i}", ConvSlice(conv, 2 * f), feed=feed))
        if self.feedback:
            start = self.channels + f
            feed = (ConvSlice(last, self.channels, start),)
            found.append(Loop("output", ConvSlice(last, start), feed=feed))
        return found

    def get_config(self):
        return super().get_config() | {
            "features": self.features,
            "feedback": self.feedback,
        }
