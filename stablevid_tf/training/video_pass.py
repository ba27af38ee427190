"""One pass through all videos, without gradient, that keeps states on the way."""

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend
from stablevid_tf.constraints import effective_kernels
from stablevid_tf.layers.kernel_cache import cached_kernels


def start_leaves(model, batch, size):
    """The initial states of all directions, as a flat tuple of arrays.

    Args:
        model: a restorer.
        batch: number of states.
        size: side of the square in pixels of the target.

    Raises:
        ValueError: the model has no memory.
    """
    side = size // model.scale
    frame = ops.zeros((batch, side, side, model.channels))
    starts = [start(frame, 0) for start, _, _ in model.network.ways()]
    leaves = tuple(as_array(leaf) for leaf in keras.tree.flatten(starts))
    if not any(leaf.size and leaf.dtype.kind == "f" for leaf in leaves):
        raise ValueError(
            f"{model.name} carries no state from frame to frame. Train it on clips, "
            "with stablevid_tf.data.ClipDataset."
        )
    return leaves


def as_array(tensor):
    """A NumPy array; bfloat16, which NumPy does not have, as float32."""
    if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
        tensor = ops.cast(tensor, "float32")
    return ops.convert_to_numpy(tensor)


class VideoPass:
    """A pass of a network through many videos in one direction, without gradient.

    The videos are divided among `batch` slots, the longest first. A slot runs through
    its videos one after another, each from a fresh state. So the cost is the number of
    frames, whatever the lengths of the videos. Effective kernels are computed once.

    Args:
        model: a restorer.
        way: a direction, one of `model.network.ways()`.
        batch: number of slots.
    """

    def __init__(self, model, way, batch):
        self._model = model
        self._start, self._step, self.backwards = way
        self._batch = batch
        self._layers = ()
        self._effective = backend.compile(self._kernels_of)
        self._advance = backend.compile(self._advanced)

    def _holding(self, weights):
        """A context in which the model has the given weights.

        Compiled functions take them as arguments: on JAX they would keep their values.
        """
        pairs = zip(self._model.variables, weights, strict=True)
        return keras.StatelessScope(state_mapping=list(pairs))

    def _kernels_of(self, weights):
        with self._holding(weights):
            held = effective_kernels(self._model.network)
        self._layers = tuple(held)
        return tuple(held.values())

    def _advanced(self, weights, kernels, frames, number, fresh, leaves):
        begin = self._start(frames[..., : self._model.channels], number)
        kept = keras.tree.pack_sequence_as(begin, list(leaves))

        def chosen(new, old):
            mask = ops.reshape(fresh, (-1,) + (1,) * (len(new.shape) - 1))
            return ops.where(mask, new, old)

        state = keras.tree.map_structure(chosen, begin, kept)
        held = dict(zip(self._layers, kernels, strict=True))
        with self._holding(weights), cached_kernels(held):
            state = self._step(frames, state)
        return tuple(keras.tree.flatten(state))

    def begin(self, frames, number):
        """The leaves of the state before the first frames [B, h, w, window * C]."""
        frames = ops.convert_to_tensor(frames[..., : self._model.channels])
        state = self._start(frames, ops.convert_to_tensor(number, "int32"))
        return tuple(keras.tree.flatten(state))

    def run(self, lengths, frames_of, numbers, keep):
        """Run through all videos.

        Args:
            lengths: the number of frames to run of each video; 0 for none.
            frames_of: `frames_of(video, i)` returns [h, w, window * C], the i-th frame
                in this direction.
            numbers: for each video, the frame number of its initial state.
            keep: `keep(video, count, leaves, slot)` is called with the states of all
                slots after `count` frames.

        Returns:
            int, the number of frames that ran forward, idle slots included.
        """
        slots = share_out(lengths, self._batch)
        if not slots:
            return 0
        playing = [[(v, i) for v in slot for i in range(lengths[v])] for slot in slots]
        total = max(len(places) for places in playing)
        weights = [variable.value for variable in self._model.variables]
        kernels = self._effective(weights)
        leaves = None
        for step in range(total):
            # A slot without videos left repeats its first frame; its state is not kept.
            shown = [p[step] if step < len(p) else p[0] for p in playing]
            frames = np.stack([frames_of(*place) for place in shown])
            number = np.array([numbers[v] for v, _ in shown], "int32")
            if leaves is None:
                leaves = self.begin(frames, number)
            leaves = self._advance(
                weights,
                kernels,
                ops.convert_to_tensor(frames),
                ops.convert_to_tensor(number),
                ops.convert_to_tensor([i == 0 for _, i in shown]),
                leaves,
            )
            for slot, (video, i) in enumerate(shown):
                if step < len(playing[slot]):
                    keep(video, i + 1, leaves, slot)
        return total * len(slots)


def share_out(lengths, slots):
    """Divide videos among slots, the longest first, with similar numbers of frames.

    Args:
        lengths: lengths of the videos; those of length 0 go to no slot.
        slots: the largest number of slots.

    Returns:
        A list of lists of video indices, none empty.
    """
    videos = [v for v, length in enumerate(lengths) if length]
    shares = [[] for _ in range(min(slots, len(videos)))]
    loads = [0] * len(shares)
    for video in sorted(videos, key=lambda v: -lengths[v]):
        least = loads.index(min(loads))
        shares[least].append(video)
        loads[least] += lengths[video]
    return shares
