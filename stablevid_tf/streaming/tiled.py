"""Restoring frames that are too large for the device's memory."""

import dataclasses
import fractions
import functools
import itertools
import math
import warnings

import keras
import numpy as np
from keras import ops

from stablevid_tf.models.dampened import dampened
from stablevid_tf.numerics.geometry import check_size

# Tiles begin, and states are cut, at multiples of this many input pixels: networks
# with strides up to it have the same grid as in the whole frame.
_GRID = 8


class Tiled:
    """A model that restores its frames tile by tile.

    It has the methods of its model, for frames that are larger than memory allows.
    Every tile overlaps its neighbours by `overlap` pixels per side. At the border of
    the frame a tile has no overlap, and the network pads it as it pads the whole frame.
    All tiles have the same size, so that one compiled step serves all.

    All tiles share one state: maps of the whole frame, in the host's memory as NumPy
    arrays. A step reads a tile's part of them, overlap included, and writes the part
    that the tile keeps into the new maps. So at every frame the overlap holds the
    results of the neighbouring tiles, and errors at a tile's edge are not carried on.
    The restored video equals the untiled one, at every frame, if the overlap covers the
    receptive field of ONE step (the sum of (k - 1) / 2 over the convolutions that a
    frame or a state passes through on its way to the output, times their strides). If
    every tile had its own state, each further frame would need as much overlap again.

    Tiles are joined without blending, in the middle of their overlap. Blending across
    the overlap would show the pixels near a tile's edge, which are the worst: see
    benchmarks/tiles.py.

    Parts of the state that are not maps of the frame (a counter, pooled features, a
    state coarser than 8 pixels) are kept per tile. A model of whole clips has no state
    to exchange: its receptive field is that of all the frames. A model that warps by
    flow needs its largest motion as overlap, in addition.

    Memory of the device: that of a step on one tile. Memory of the host: the state
    twice, old and new; for VResNet-feat with 64 features and 5 blocks 2 x 1,280 bytes
    per pixel, 21 GB for a 4K frame. So if the device is the host, tiles only save the
    memory that a step needs besides the state: little for a model with as many states
    as stages. Cost: (N / (N - 2 overlap))^2 of the untiled step.

    Args:
        model: has `initial_state` and `step`, or `predict_on_batch`.
        tile: N, the side of a tile in input pixels, overlap included. Tiles may be a
            few pixels smaller, so that all have the same size.
        overlap: overlap of neighbouring tiles in pixels, per side, rounded up to a
            multiple of 8.

    Raises:
        ValueError: `tile` or `overlap` is not an integer in range, or `tile` is too
            small for the overlap.
    """

    def __init__(self, model, tile, overlap):
        check_size("tile", tile)
        if not isinstance(overlap, int) or overlap < 0:
            raise ValueError(
                "overlap must be an integer, 0 pixels or more. Received: "
                f"overlap={overlap!r}"
            )
        least = 2 * _up(overlap) + 2 * _GRID
        if tile < least:
            raise ValueError(
                f"tiles that overlap by {overlap} pixels per side must be {least} "
                f"pixels or more. Received: tile={tile}. Use a tile several times as "
                "large as its overlap: it costs least"
            )
        self.model, self.tile, self.overlap = model, tile, overlap
        self.name = getattr(model, "name", type(model).__name__)
        self.channels, self.scale = model.channels, model.scale
        self.latency = getattr(model, "latency", 0)
        self._said = False

    def loops(self):
        """The model's feedback loops."""
        return self.model.loops()

    def dampened(self, factor):
        """The same tiles with a dampened twin of the model, see `models.dampened`."""
        return Tiled(dampened(self.model, factor), self.tile, self.overlap)

    def initial_state(self, frame):
        """The state before the first frame: a list of arrays, and of lists per tile.

        Args:
            frame: [1, H, W, C].
        """
        frame = ops.convert_to_numpy(frame)
        state = None
        for index, place in enumerate(self._places(frame)):
            made = self.model.initial_state(ops.convert_to_tensor(place.of(frame)))
            state = self._kept(state, made, index, place)
        return state

    def step(self, frame, state):
        """`(restored [1, scale H, scale W, C], state)`, as from the model's step."""
        frame = ops.convert_to_numpy(frame)
        restored = after = None
        nest, ratios = self._form
        for index, place in enumerate(self._places(frame)):
            seen = [
                place.of(leaf, ratio) if ratio else leaf[index]
                for leaf, ratio in zip(state, ratios, strict=True)
            ]
            seen = keras.tree.pack_sequence_as(nest, map(ops.convert_to_tensor, seen))
            out, made = self.model.step(ops.convert_to_tensor(place.of(frame)), seen)
            restored = place.put(restored, ops.convert_to_numpy(out), self.scale)
            after = self._kept(after, made, index, place)
        return restored, after

    def predict_on_batch(self, clips):
        """Restored clips [1, T, scale H, scale W, C] of a model of whole clips."""
        restored = None
        for place in self._places(clips):
            out = self.model.predict_on_batch(place.of(clips))
            restored = place.put(restored, out, self.scale)
        return restored

    def _places(self, frame):
        """The tiles of a frame [..., H, W, C], row after row."""
        axes = [_cuts(n, self.tile, self.overlap) for n in frame.shape[-3:-1]]
        if all(len(axis) == 1 for axis in axes) and not self._said:
            self._said = True
            height, width = frame.shape[-3:-1]
            warnings.warn(
                f"frames of {width}x{height} fit in one tile of {self.tile}: tile is "
                "ignored",
                stacklevel=2,
            )
        return [_Place(*pair) for pair in itertools.product(*axes)]

    @functools.cached_property
    def _form(self):
        """The state's nest, and each leaf's pixels per input pixel, or None."""
        small = ops.zeros((1, 8 * _GRID, 16 * _GRID, self.channels))
        nest = self.model.initial_state(small)
        return nest, [_ratio(leaf.shape) for leaf in keras.tree.flatten(nest)]

    def _kept(self, state, made, index, place):
        """`state` with the kept part of a tile's new state; None: a new one."""
        made, (_, ratios) = keras.tree.flatten(made), self._form
        state = [None if ratio else [] for ratio in ratios] if state is None else state
        for at, (leaf, ratio) in enumerate(zip(made, ratios, strict=True)):
            leaf = ops.convert_to_numpy(leaf)
            if ratio:
                state[at] = place.put(state[at], leaf, ratio)
            else:
                state[at].append(leaf)
        return state


@dataclasses.dataclass(frozen=True)
class _Cut:
    """A tile along one axis, in input pixels: it sees [start, stop), and keeps less."""

    start: int
    stop: int
    first: int
    last: int
    length: int

    def at(self, ratio, *ends):
        """A slice of what has `ratio` pixels per input pixel."""
        return slice(*(math.ceil(end * ratio) for end in ends))


@dataclasses.dataclass(frozen=True)
class _Place:
    rows: _Cut
    columns: _Cut

    def of(self, whole, ratio=1):
        """What the tile sees of [..., ratio H, ratio W, C]."""
        axes = [cut.at(ratio, cut.start, cut.stop) for cut in self._axes]
        return whole[..., *axes, :]

    def put(self, whole, piece, ratio):
        """Writes what the tile keeps into `whole`, which is made where it is None."""
        if whole is None:
            sides = [math.ceil(cut.length * ratio) for cut in self._axes]
            shape = (*piece.shape[:-3], *sides, piece.shape[-1])
            whole = np.empty(shape, piece.dtype)
        to = [cut.at(ratio, cut.first, cut.last) for cut in self._axes]
        inside = [
            cut.at(ratio, cut.first - cut.start, cut.last - cut.start)
            for cut in self._axes
        ]
        whole[..., *to, :] = piece[..., *inside, :]
        return whole

    @property
    def _axes(self):
        return self.rows, self.columns


def _cuts(length, tile, overlap):
    """The tiles along an axis, all of one size, spread evenly.

    They begin at multiples of the grid, and where the axis ends the last one ends.
    """
    if length <= tile:
        return [_Cut(0, length, 0, length, length)]
    size = tile - (tile - length) % _GRID
    most = (size - 2 * _up(overlap)) // _GRID * _GRID
    count = -(-(length - size) // most) + 1
    starts = [_down(i * (length - size) / (count - 1)) for i in range(count)]
    # What is kept begins in the middle of what two tiles see.
    seams = [
        second + _down((first + size - second) / 2)
        for first, second in itertools.pairwise(starts)
    ]
    edges = itertools.pairwise([0, *seams, length])
    return [
        _Cut(start, start + size, *kept, length)
        for start, kept in zip(starts, edges, strict=True)
    ]


def _up(pixels):
    return math.ceil(pixels / _GRID) * _GRID


def _down(pixels):
    return math.floor(pixels / _GRID) * _GRID


def _ratio(shape):
    """Pixels of a map per input pixel, from a frame of 64x128; None: it is no map."""
    if len(shape) != 4:
        return None
    ratio = fractions.Fraction(shape[1], 8 * _GRID)
    whole = ratio * _GRID == int(ratio * _GRID)
    return ratio if whole and shape[2] == 2 * shape[1] else None


def dampened_twin(model, factor):
    """`models.dampened`, for a `Tiled` model too."""
    own = isinstance(model, Tiled)
    return model.dampened(factor) if own else dampened(model, factor)
