import keras
from keras import ops

from stablevid_tf import backend
from stablevid_tf.cells.backbone_cell import BackboneCell
from stablevid_tf.cells.recurrent_video_cell import counted
from stablevid_tf.cells.unroll import windows, windows_inside
from stablevid_tf.layers.loop import ConvSlice, Loop


@keras.saving.register_keras_serializable(package="stablevid_tf")
class BiRLSP(BackboneCell):
    """RLSP forwards and backwards in time over a whole clip.

    Each direction is a trunk ``x_1(t) = stage_1([x_0(t), x_n(t -+ 1)])``, ...; the
    output convolution sees both trunks' last features. Tanay et al., appendix B, run
    RLSP in both directions without saying how they are joined: shared input
    convolution, two trunks and joined output convolution are our guess.

    A clip network, not a cell: there is no ``step``.

    Call arguments:
        frames: [B, T, H, W, channels] in [0, 1].

    Output shape:
        [B, T, scale * H, scale * W, channels].

    Args: see :class:`BackboneCell`.
    """

    causal = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.backward_body = [self._stage(i) for i in range(self.stages)]

    def _stage_on_loop(self, index):
        return (self.features if index == 0 else None, None)

    def build_by_call(self):
        self.compute_output_spec(keras.KerasTensor((1, 1, 8, 8, self.frame_channels)))
        self.built = True

    def call(self, frames):
        return self._restore(self.numbered_clip(windows(frames, self.window)))

    def restore_from(self, frames, states, training=False):
        forward, backward = states
        seen = windows_inside(frames, self.window)
        seen = self.numbered_clip(seen, forward["number"])
        return self._restore(seen, forward["features"], backward["features"])

    def _restore(self, seen, before=None, behind=None):
        seen = ops.moveaxis(seen, 1, 0)
        forward = self._trunk(self.body, seen, before)
        backward = ops.flip(
            self._trunk(self.backward_body, ops.flip(seen, axis=0), behind), axis=0
        )
        joined = ops.concatenate([forward, backward], axis=-1)
        _, restored = backend.scan(self._write, (), (joined, seen))
        return ops.moveaxis(restored, 0, 1)

    def _write(self, state, at):
        return state, self.image(self.write(*at))

    def _trunk(self, body, seen, start=None):
        def step(previous, frame):
            x = self._next(body, frame, previous)
            return x, x

        if start is None:
            start = self.zeros(seen[0], self.features)
        return backend.scan(step, start, seen)[1]

    def _next(self, body, frame, previous):
        """A trunk's features at a frame, from those at the one it comes from."""
        first, *rest = body
        x = first(self.features_of(frame), previous)
        for stage in rest:
            x = stage(x)
        return x

    def start(self, frame, number=0):
        """What either trunk begins with; ``number``: that of the frame before."""
        return {
            "features": self.zeros(frame, self.features),
            "number": counted(frame, number),
        }

    def ways(self):
        def step_of(body, move):
            def step(frames, state):
                number = state["number"] + move
                frames = self.numbered(frames, number)
                features = self._next(body, frames, state["features"])
                return {"features": features, "number": number}

            return step

        return [
            (self.start, step_of(self.body, 1), False),
            (self.start, step_of(self.backward_body, -1), True),
        ]

    def loops(self):
        found = []
        for name, body in (("forward", self.body), ("backward", self.backward_body)):
            path = [ConvSlice(conv) for conv in body[0].convs[1:]]
            path += [stage.term() for stage in body[1:]]
            entry = ConvSlice(body[0].convs[0], self.features)
            found.append(Loop(name, entry, tuple(path)))
        return found
