from collections.abc import Mapping
from typing import Any, Self

import keras
from keras import ops
from numpy.typing import ArrayLike

from stablevid_tf import backend
from stablevid_tf.cells.recurrent_video_cell import RecurrentVideoCell
from stablevid_tf.constraints import effective_kernels
from stablevid_tf.layers.kernel_cache import cached_kernels
from stablevid_tf.models.restorer import Restorer


@keras.saving.register_keras_serializable(package="stablevid_tf")
class RecurrentRestorer(Restorer):
    """A cell run over time, as a ``keras.Model``.

    Whole clip: ``model(frames)``, ``model.predict``, ``model.fit``. Frame by frame:
    ``state = model.initial_state(frame)``, then ``out, state = model.step(frame,
    state)`` for every frame; the first ``model.latency`` outputs are to be discarded,
    and the end is flushed by repeating the last frame. Both give the same frames.

    Effective kernels of constrained convolutions are computed once per call, before
    the time loop, and are constants of the loop.

    Args:
        network: a :class:`stablevid_tf.cells.RecurrentVideoCell`.

    Call arguments:
        frames: [B, T, H, W, channels], float32 in [0, 1]; any T, H, W. Or a clip out
            of a longer video, as :class:`stablevid_tf.training.PIBPTT` makes them:
            ``{"frames": ..., "state": ...}``.
        training: in training the layers' power-iteration vectors move on.

    Output shape:
        [B, T, scale * H, scale * W, channels]; not clipped.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models
        >>> model = models.build("vresnet_feat", features=8, blocks=2)
        >>> clip = np.zeros((1, 5, 16, 24, 3), "float32")
        >>> model.predict(clip, verbose=0).shape
        (1, 5, 16, 24, 3)
        >>> state = model.initial_state(clip[:, 0])
        >>> out, state = model.step(clip[:, 0], state)
    """

    causal = True

    def __init__(self, network: RecurrentVideoCell, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self._compiled_step = None

    @property
    def cell(self) -> RecurrentVideoCell:
        """The recurrent cell."""
        return self.network

    @property
    def latency(self) -> int:
        """Frames by which ``step`` lags behind its input."""
        return self.window // 2

    def call(self, frames: Any, training: bool = False) -> Any:
        frames, states = self.taken(frames)
        with cached_kernels(effective_kernels(self.cell, training)):
            if states is None:
                return self.cell.restore(frames, training)
            return self.cell.restore_from(frames, states, training)

    def load_public_weights(self, mapping: Mapping[str, ArrayLike]) -> Self:
        """Take published weights in their own layout; returns the model.

        Args:
            mapping: ``{name: array}``, such as an opened .npz file; the cell's
                documentation names the arrays (``rlsp``:
                :class:`stablevid_tf.cells.RLSPSuperResolution`).

        Raises:
            ValueError: no weights of this architecture are public, or arrays are
                missing or of another shape.
        """
        if not hasattr(self.cell, "load_public_weights"):
            raise ValueError(f"No public weights are known for {self.name}.")
        self.build()
        self.cell.load_public_weights(mapping)
        return self

    def initial_state(self, frame: Any, number: Any = 0) -> Any:
        """The state before the first frame.

        Args:
            frame: [B, H, W, channels]; its shape is used.
            number: frames of the video that came before, an integer or int32 [B]; for
                models built with ``frame_number``, others do not look at it.

        Returns:
            A nest of tensors. Of a model built with ``frame_number`` the counter is
            ``state["number"]``, int32 [B]; with a window it lies, as the cell's whole
            state, in ``state["cell"]``.
        """
        frame = ops.convert_to_tensor(frame)
        self.check(frame, 4, "[batch, height, width, channels]")
        state = self.cell.start(frame, number)
        if self.window == 1:
            return state
        return {
            "cell": state,
            "frames": ops.concatenate([frame] * (self.window - 1), axis=-1),
            "seen": ops.zeros((), "int32"),
        }

    def step(self, frame: Any, state: Any) -> tuple[Any, Any]:
        """Restore one frame.

        The kernels are those of a whole-clip call: of a loaded entry or a folded twin
        the shipped ones, of a model in training the effective ones, computed anew at
        every step. Fold such a model first (``model.fold().step``) where speed counts.

        Args:
            frame: [B, H, W, channels], float32 in [0, 1].
            state: from :meth:`initial_state` or the last step.

        Returns:
            ``(restored [B, s H, s W, channels], state)``: the frame that came
            ``latency`` steps earlier.
        """
        frame = ops.convert_to_tensor(frame)
        self.check(frame, 4, "[batch, height, width, channels]")
        if self._compiled_step is None:
            self._compiled_step = backend.compile(self._step, self.cell.variables)
        return self._compiled_step(frame, state)

    def _step(self, frame, state):
        with cached_kernels(effective_kernels(self.cell)):
            if self.window == 1:
                return self.cell.advance(frame, state)
            return self._windowed_step(frame, state)

    def _windowed_step(self, frame, state):
        seen, old = state["seen"], state["cell"]
        first = ops.concatenate([frame] * (self.window - 1), axis=-1)
        past = ops.where(seen == 0, first, state["frames"])
        frames = ops.concatenate([past, frame], axis=-1)
        restored, new = self.cell.advance(frames, old)
        # Until the first frame is in the window's centre nothing is remembered.
        keep = seen >= self.latency
        new = keras.tree.map_structure(lambda n, o: ops.where(keep, n, o), new, old)
        return restored, {
            "cell": new,
            "frames": frames[..., self.frame_channels :],
            "seen": ops.minimum(seen + 1, self.latency),
        }
