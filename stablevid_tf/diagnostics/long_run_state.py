import json
import os
import zipfile

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend, metrics
from stablevid_tf.diagnostics.long_run_result import LongRunResult
from stablevid_tf.models import RecurrentRestorer

# Frames that a fresh state is given before it is compared.
_BURST = 10

# Most frames from one comparison to the next.
_RARE = 500

# Without a reference: two outputs that agree this well (1 % of the range) are one.
_EQUAL = 40.0

# Quality beyond 100 dB, or below -100, makes no difference.
_EXTREME = 100.0

# Numbers of a state below this are as good as none.
_NOTHING = 1e-3

# One step of 8 bits.
_STEP = 1 / 255


class LongRunState:
    """The state of a long run, which can be saved and loaded.

    Args:
        subject: the model.
        frame: [B, H, W, C], the first frame.
        known: whether there is a reference.
        path: path of the checkpoint, or None.
        settings: dict of what must match for a run to go on from a checkpoint.
    """

    def __init__(self, subject, frame, known, path, settings):
        self.subject = subject
        self.known = known
        self.path = path
        self.settings = settings
        self.step = backend.compile(self._measured)
        self.state = subject.initial_state(ops.convert_to_tensor(frame))
        self.fresh = None  # the state of a burst that is under way
        self.start = _BURST  # where that burst began, or the next will
        self.done = 0  # frames seen
        self.age = np.zeros(len(frame), int)  # restored frames since the zero state
        self.bounded = True
        self.nonfinite = 0
        self.psnr, self.saturation = _Curve(np.minimum), _Curve(np.maximum)
        self.events = []  # frame, sequence, onset
        self.probes = []  # frame, and [4, B]: PSNR fresh and long, excess, growth
        if path is not None and os.path.exists(path):
            self.load()

    def frame(self, frame, truth):
        """One step of the long run, and of the burst beside it."""
        frame, truth = map(ops.convert_to_tensor, (frame, truth))
        measured, out, self.state = self.step(frame, truth, self.state)
        restored = self.done - self.subject.latency
        if self.done == self.start:
            self.fresh = self.subject.initial_state(frame)
        if self.fresh is not None:
            self._burst(restored, frame, truth if self.known else out, measured)
        self.done += 1
        if restored >= 0:
            self._record(restored, frame, ops.convert_to_numpy(measured))

    def _measured(self, frame, truth, state):
        """A step, and the measurements of its output, [4, B]."""
        out, state = self.subject.step(frame, state)
        out = ops.cast(out, "float32")
        psnr = metrics.psnr(out, truth)
        psnr = ops.where(ops.isnan(psnr), -np.inf, psnr)
        shares = [
            ops.mean(ops.cast(where, "float32"), axis=(1, 2, 3))
            for where in (
                (out <= _STEP / 2) | (out >= 1 - _STEP / 2),
                ops.isfinite(out),
                (out >= 0) & (out <= 1),
            )
        ]
        return ops.stack([psnr, *shares]), out, state

    def _burst(self, restored, frame, against, measured):
        fresh, _, self.fresh = self.step(frame, against, self.fresh)
        length = _BURST + self.subject.latency
        if self.done < self.start + length - 1:
            return
        fresh, long = ops.convert_to_numpy(fresh), ops.convert_to_numpy(measured)
        excess = long[1] - fresh[1]
        least, most = (_largest(s, len(excess)) for s in (self.fresh, self.state))
        growth = np.nan_to_num(
            most / np.maximum(least, _NOTHING), nan=np.inf, posinf=np.inf
        )
        self.probes.append((restored, np.stack([fresh[0], long[0], excess, growth])))
        self.fresh = None
        self.start += max(length, min(self.start // 4, _RARE))

    def _record(self, restored, frame, measured):
        psnr, saturation, finite, inside = measured
        self.psnr.append(psnr)
        self.saturation.append(saturation)
        self.nonfinite += int(np.sum(finite < 1))
        self.bounded &= bool(np.all(inside == 1))
        self.age += 1
        lost = psnr < 0
        if lost.any():
            self.events += [(restored, b, self.age[b]) for b in np.flatnonzero(lost)]
            self.age[lost] = 0
            self.state = _reset(self.subject, self.state, frame, lost)

    def result(self, drop):
        """The run so far as a `LongRunResult`."""
        probes = np.stack([values for _, values in self.probes], axis=1)
        fresh, long, excess, growth = probes
        fresh, long = (np.clip(x, -_EXTREME, _EXTREME) for x in (fresh, long))
        events = np.array(self.events, int).reshape(-1, 3)
        return LongRunResult(
            name=self.subject.name,
            frames=self.done - self.subject.latency,
            against="reference" if self.known else "input",
            psnr=self.psnr.points(),
            saturation=self.saturation.points(),
            stride=self.psnr.stride,
            events=events[:, :2],
            onsets=events[:, 2],
            nonfinite=self.nonfinite,
            bounded=self.bounded,
            probed=np.array([restored for restored, _ in self.probes]),
            fresh=fresh,
            fall=fresh - long if self.known else np.minimum(fresh[0], _EQUAL) - fresh,
            excess=excess,
            growth=growth,
            drop=drop,
        )

    def save(self):
        """Write the checkpoint; it appears only when complete."""
        if self.path is None:
            return
        arrays = {
            "settings": json.dumps(self.settings),
            "counts": [self.done, self.start, self.nonfinite, self.bounded],
            "age": self.age,
            "events": np.array(self.events, int).reshape(-1, 3),
            "probed": np.array([restored for restored, _ in self.probes], int),
            "probes": np.array([values for _, values in self.probes]),
        }
        for name, curve in (("psnr", self.psnr), ("saturation", self.saturation)):
            arrays |= {f"{name}_{key}": x for key, x in curve.arrays().items()}
        for name, state in (("state", self.state), ("fresh", self.fresh)):
            if state is not None:
                leaves = map(_stored, keras.tree.flatten(state))
                arrays |= {f"{name}_{i}": leaf for i, leaf in enumerate(leaves)}
        with open(f"{self.path}.partial", "wb") as file:
            np.savez(file, **arrays)
        os.replace(f"{self.path}.partial", self.path)

    def load(self):
        """Go on from the checkpoint."""
        try:
            with np.load(self.path) as file:
                arrays = dict(file)
            settings = json.loads(str(arrays["settings"]))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{self.path} is not a checkpoint of a long run, or is damaged. Give "
                "another file, or remove it to start again."
            ) from error
        other = [name for name in settings if settings[name] != self.settings.get(name)]
        if other:
            raise ValueError(
                f"{self.path} is a checkpoint of another run: different "
                f"{', '.join(other)}. Give another file, or remove it to start again."
            )
        self.done, self.start, self.nonfinite, bounded = map(int, arrays["counts"])
        self.bounded = bool(bounded)
        self.age = arrays["age"]
        self.events = list(map(tuple, arrays["events"]))
        self.probes = list(zip(arrays["probed"], arrays["probes"], strict=True))
        for name, curve in (("psnr", self.psnr), ("saturation", self.saturation)):
            curve.restore(arrays[f"{name}_points"], arrays[f"{name}_at"])
        if "fresh_0" in arrays:
            self.fresh = _restored(self.state, arrays, "fresh")
        self.state = _restored(self.state, arrays, "state")


def _largest(state, count):
    """The largest absolute number in the state of each of `count` sequences."""
    largest = np.zeros(count)
    for leaf in map(_stored, keras.tree.flatten(state)):
        size = np.abs(leaf.astype("float64"))
        axes = tuple(range(1, size.ndim)) if size.shape[:1] == (count,) else None
        largest = np.maximum(largest, np.max(size, axis=axes, initial=0))
    return largest


def _reset(subject, state, frame, lost):
    """A zero state for the sequences that are lost, the others untouched."""
    zero = subject.initial_state(frame)
    if isinstance(subject.model, RecurrentRestorer) and subject.model.window > 1:
        # The frames it remembers are input, and stay.
        zero = state | {"cell": zero["cell"]}
    if lost.all():
        return zero

    def choose(new, old):
        if tuple(old.shape[:1]) != lost.shape:
            return old
        return ops.where(lost.reshape(-1, *[1] * (len(old.shape) - 1)), new, old)

    return keras.tree.map_structure(choose, zero, state)


def _stored(leaf):
    """A tensor as an array that NumPy can write: no bfloat16."""
    array = ops.convert_to_numpy(leaf)
    return array.astype("float32") if array.dtype.kind == "V" else array


def _restored(like, arrays, name):
    leaves = [
        ops.convert_to_tensor(arrays[f"{name}_{i}"], leaf.dtype)
        for i, leaf in enumerate(keras.tree.flatten(like))
    ]
    return keras.tree.pack_sequence_as(like, leaves)


class _Curve:
    """A curve of any length in bounded memory: the worst value of every block.

    A block is one value until `limit` blocks are kept; then neighbours are joined, and
    blocks are twice as long. So a short failure stays visible.

    Args:
        worst: `np.minimum` or `np.maximum`.
        limit: an even number of points.

    Attributes:
        stride: values in a block.
    """

    def __init__(self, worst, limit=4096):
        self.worst = worst
        self.limit = limit
        self.stride = 1
        self._blocks = []
        self._filled = 0  # values in the last block, 0 if it is complete

    def append(self, values):
        """Add the values [B] of one frame."""
        if self._filled:
            self._blocks[-1] = self.worst(self._blocks[-1], values)
        else:
            self._blocks.append(np.array(values))
        self._filled = (self._filled + 1) % self.stride
        if len(self._blocks) == self.limit and not self._filled:
            pairs = zip(self._blocks[::2], self._blocks[1::2], strict=True)
            self._blocks = [self.worst(a, b) for a, b in pairs]
            self.stride *= 2

    def points(self):
        """The worst values of every block, [blocks, B]."""
        return np.array(self._blocks)

    def arrays(self):
        """The arrays that `restore` needs."""
        return {"points": self.points(), "at": np.array([self.stride, self._filled])}

    def restore(self, points, at):
        """Go on from the arrays that `arrays` returned."""
        self._blocks = list(points)
        self.stride, self._filled = map(int, at)
