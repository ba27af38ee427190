"""All videos gone through once, without gradient, and the states on the way."""

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend
from stablevid_tf.constraints import effective_kernels
from stablevid_tf.layers.kernel_cache import cached_kernels


def start_leaves(model, batch, size):
    """The numbers of initial states, one of each way, a flat tuple of arrays.

    Args:
        model: a restorer.
        batch: how many states.
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
            f"{model.name} carries no state from frame to frame: train it on clips, "
            "with stablevid_tf.data.ClipDataset."
        )
    return leaves


def as_array(tensor):
    """A NumPy array; bfloat16, which NumPy does not have, as float32."""
    if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
        tensor = ops.cast(tensor, "float32")
    return ops.convert_to_numpy(tensor)


class VideoPass:
    """One way of a network through many videos at once, without gradient.

    The videos are shared out among ``batch`` slots, the longest first; a slot goes
    through its videos one after another, from a fresh state each. So the cost is the
    videos' frames, whatever their lengths. Effective kernels are computed once.

    Args:
        model: a restorer.
        way: of ``model.network.ways()``.
        batch: slots.
    """

    def __init__(self, model, way, batch):
        self._model = model
        self._start, self._step, self.backwards = way
        self._batch = batch
        self._layers = ()
        self._effective = backend.compile(self._kernels_of)
        self._advance = backend.compile(self._advanced)

    def _holding(self, weights):
        """Context in which the model has the weights given.

        What is compiled takes them as arguments: on JAX it would keep their values.
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
        """The state before the first frames [B, h, w, window * C], its leaves."""
        frames = ops.convert_to_tensor(frames[..., : self._model.channels])
        state = self._start(frames, ops.convert_to_tensor(number, "int32"))
        return tuple(keras.tree.flatten(state))

    def run(self, lengths, frames_of, numbers, keep):
        """Go through all videos.

        Args:
            lengths: frames of each video to go through; 0 for none.
            frames_of: ``frames_of(video, i)`` gives [h, w, window * C], the i-th frame
                on this way.
            numbers: of each video, what its start is given.
            keep: ``keep(video, count, leaves, slot)`` is called with the states, all
                slots of them, after ``count`` frames.

        Returns:
            int, how many frames went forward, idle slots included.
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
            # A slot that has done shows its first frame again, to no end.
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
    """Videos for each slot, nearly as many frames for each: longest first.

    Args:
        lengths: of the videos; those of none go to no slot.
        slots: how many slots there are at most.

    Returns:
        A list of lists of videos' numbers, none empty.
    """
    videos = [v for v, length in enumerate(lengths) if length]
    shares = [[] for _ in range(min(slots, len(videos)))]
    loads = [0] * len(shares)
    for video in sorted(videos, key=lambda v: -lengths[v]):
        least = loads.index(min(loads))
        shares[least].append(video)
        loads[least] += lengths[video]
    return shares
