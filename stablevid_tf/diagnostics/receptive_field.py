import dataclasses
import itertools
import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tqdm
from keras import ops

from stablevid_tf import backend
from stablevid_tf.diagnostics.receptive_field_result import ReceptiveFieldResult
from stablevid_tf.diagnostics.subject import Subject
from stablevid_tf.numerics.geometry import check_size

# Iterations between two checks of the outputs after the centre; a check costs about as
# much as an iteration.
_LOOK = 20
# Frames up to the centre that stand in the graph one by one: in a while loop each
# iteration took a fifth longer (benchmarks/receptive_field.py).
_UNROLL = 64

# Adam's decays and what keeps it from dividing by zero.
_MEAN, _SQUARE, _TINY = 0.9, 0.999, 1e-8

_SEVERITY = ("stable", "undecided", "diverges")


def temporal_receptive_field(
    model: Any,
    tau: int = 40,
    size: int = 64,
    iterations: int = 500,
    channel: int | Iterable[int] | None = None,
    restarts: int = 1,
    rate: float = 0.05,
    early_stop: bool = True,
    seed: int = 0,
    progress: bool = False,
) -> ReceptiveFieldResult:
    """Search for an input that makes a model diverge, and measure its memory.

    Given the frames `X = (x(-tau) .. x(tau))`, a zero state before them, the outputs
    `Y`, and the centre pixel `p` of `y(0)`, the search solves

        max |p|   over   0 <= X <= 1

    by Adam from uniform noise, each step followed by a projection onto [0, 1].
    Source: Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent Video
    Processing", section 2.2 (81 frames of 64x64, 500 iterations). The paper does not
    state the step; 0.05 crosses the range in twenty iterations. The gradient is
    divided by `max(1, |p|)`, so that its square stays finite if the model diverges.
    The frames after the centre (and the model's latency) are not optimised: they
    remain noise, and only show whether the disturbance grows or dies out.

    The verdict:

    - `"diverges"`: on the noise after the centre, the output (or the state) grows to
      more than ten times its size in the first frames of the random start, and each
      quarter of the frames adds a tenth more than the one before; or it is not
      finite. `X` is an input on which the model fails: this is certain.
    - `"stable"`: the oldest quarter of the past frames has at most 1 % of the largest
      influence of a frame, and the last quarter of the outputs differs from that
      after the random past by at most 1 % of the largest disturbance. The search
      found no harmful input; this is not a proof (see `diagnostics.certify`).
    - `"undecided"`: neither. Possible reasons: a long memory, which a larger `tau`
      decides; a model that settles in another, bounded state; a bounded output that
      hides a growing state.

    The influence of a frame is the 1-norm of the gradient of `p`: to first order, how
    much another frame could change `p`. A model without a state has influence from the
    frames of its window.

    With `early_stop` the search ends as soon as a longer one cannot change the
    verdict: on `"diverges"`; or on `"stable"` by a wide margin (halves in place of
    quarters, 0.1 % in place of 1 %) if `|p|` has risen by less than 10 % in the last
    `2 / rate` iterations, in which a pixel can cross the range twice.

    Args:
        model: see `diagnostics.subject.Subject`.
        tau: number of frames before the centre, and after it; at least 3.
        size: side of the frames in pixels.
        iterations: the largest number of Adam's iterations.
        channel: channel of the pixel to maximise: an index, or several, with a search
            for each. Default: the middle one (green).
        restarts: searches per channel, each from another random start. The worst is
            returned: by verdict, then by `|p|`.
        rate: Adam's step.
        early_stop: whether to end as soon as the verdict is certain.
        seed: integer.
        progress: whether to show a progress bar.

    Returns:
        `diagnostics.ReceptiveFieldResult`.

    Raises:
        ValueError: the model is not recurrent; an argument is out of range.

    Example:
        >>> from stablevid_tf import diagnostics, models
        >>> model = models.build("vresnet_single", features=4, blocks=1)
        >>> field = diagnostics.temporal_receptive_field(
        ...     model, tau=4, size=8, iterations=20)
        >>> field.verdict, field.window, field.outputs.shape
        ('stable', 1, (9, 8, 8, 3))
    """
    for name, value in {
        "tau": tau,
        "size": size,
        "iterations": iterations,
        "restarts": restarts,
    }.items():
        check_size(name, value)
    if tau < 3:
        raise ValueError(f"tau must be 3 frames or more. Received: tau={tau}")
    if not rate > 0:
        raise ValueError(f"rate must be above 0. Received: rate={rate}")
    subject = Subject(model)
    search = _Search(subject, tau, size, rate)
    found = []
    for at, restart in itertools.product(
        _channels(channel, subject.channels), range(restarts)
    ):
        random = np.random.default_rng((seed, restart))
        shape = (2 * tau + 1, size, size, subject.channels)
        start = random.uniform(size=shape).astype("float32")
        found.append(search(start, at, iterations, early_stop, progress))
        if early_stop and found[-1].verdict == "diverges":
            break
    worst = max(found, key=_severity)
    return dataclasses.replace(worst, verdicts=tuple(f.verdict for f in found))


def _severity(found):
    return _SEVERITY.index(found.verdict), *found.objective[-1:]


def _channels(channel, channels):
    if channel is None:
        return [channels // 2]
    chosen = [channel] if isinstance(channel, int) else list(channel)
    if not chosen or not all(0 <= c < channels for c in chosen):
        raise ValueError(
            f"channel must be from 0 to {channels - 1}, or a list of these. "
            f"Received: {channel!r}"
        )
    return chosen


class _Search:
    """The functions that are compiled once for all searches on a model."""

    def __init__(self, subject, tau, size, rate):
        self.subject, self.tau, self.rate = subject, tau, rate
        # The frames that can change y(0).
        self.free = tau + 1 + subject.latency
        if self.free > 2 * tau + 1:
            raise ValueError(
                f"{subject.name} looks {subject.latency} frames ahead, so tau must be "
                f"at least {subject.latency}. Received: tau={tau}"
            )
        self.centre = subject.scale * size // 2
        self.update = backend.compile(self._update)
        self.watch = backend.compile(self._watch)

    def __call__(self, start, channel, iterations, early_stop, progress):
        """One search from the frames `start`, on one channel."""
        channel = ops.convert_to_tensor(channel, "int32")
        x, rest = ops.convert_to_tensor(start[: self.free]), start[self.free :]
        mean = square = ops.zeros_like(x)
        before, objective, influence = x, [], np.zeros(self.free)
        calm = self.look(start)
        settling = math.ceil(2 / self.rate)
        found = None
        for i in tqdm.trange(1, iterations + 1, disable=not progress):
            count = ops.convert_to_tensor(i, "float32")
            after, mean, square, p, flow = self.update(x, mean, square, count, channel)
            p, flow = float(p), ops.convert_to_numpy(flow)
            found = None
            if not np.isfinite(p):
                # The input that overflows has no gradient: back to the one before.
                x = before
                break
            objective.append(p)
            # A clipped output has none either: what it had before counts.
            influence = flow if flow.any() else influence
            before, x = x, after
            if early_stop and i % _LOOK == 0:
                found = self._result(x, rest, calm, influence, objective)
                if found.certain(settling):
                    break
        if found is None:
            found = self._result(x, rest, calm, influence, objective)
        return dataclasses.replace(found, overflow=not np.isfinite(p))

    def _objective(self, x, channel):
        """`|p|` of the frames [T, H, W, C] up to the centre."""
        frames = x[:, None]

        def step(state, frame):
            # Earlier outputs are no part of the objective and need not be made.
            return self.subject.step(frame, state)[1], ops.zeros(())

        state = self.subject.initial_state(frames[0])
        state, _ = backend.scan(step, state, frames[:-1], unroll=_UNROLL)
        restored, _ = self.subject.step(frames[-1], state)
        pixel = ops.cast(restored[0, self.centre, self.centre], "float32")
        return ops.abs(ops.take(pixel, channel))

    def _update(self, x, mean, square, count, channel):
        """One step of projected Adam: `(x, mean, square, |p|, influence)`."""
        p, slope = backend.gradient(lambda x: self._objective(x, channel), x)
        slope = ops.where(ops.isfinite(slope), slope, 0.0) / ops.maximum(p, 1.0)
        mean = _MEAN * mean + (1 - _MEAN) * slope
        square = _SQUARE * square + (1 - _SQUARE) * slope * slope
        unbias = ops.sqrt(1 - ops.power(_SQUARE, count)) / (1 - ops.power(_MEAN, count))
        x = x + self.rate * unbias * mean / (ops.sqrt(square) + _TINY)
        influence = ops.sum(ops.abs(slope), axis=(1, 2, 3))
        return ops.clip(x, 0, 1), mean, square, p, influence

    def _watch(self, frame, state):
        """A step, and the largest value of the state; infinite if one is not finite."""
        restored, state = self.subject.step(frame, state)
        size = ops.zeros(())
        for leaf in keras.tree.flatten(state):
            if "float" not in keras.backend.standardize_dtype(leaf.dtype):
                continue  # a counter
            leaf = ops.abs(ops.cast(leaf, "float32"))
            finite = ops.all(ops.isfinite(leaf))
            size = ops.maximum(size, ops.where(finite, ops.max(leaf), np.inf))
        return restored, state, size

    def look(self, frames):
        """`(outputs, sizes of the state, last finite state)` of all frames."""
        state = last = self.subject.initial_state(ops.convert_to_tensor(frames[:1]))
        outputs, sizes = [], []
        ahead = np.repeat(frames[-1:], self.subject.latency, axis=0)
        for frame in np.concatenate([frames, ahead]):
            restored, state, size = self.watch(
                ops.convert_to_tensor(frame[None]), state
            )
            outputs.append(ops.convert_to_numpy(restored)[0].astype("float32"))
            sizes.append(float(size))
            last = state if np.isfinite(sizes[-1]) else last
        late = slice(self.subject.latency, None)
        state = keras.tree.map_structure(ops.convert_to_numpy, last)
        return np.stack(outputs[late]), np.array(sizes[late]), state

    def _result(self, x, rest, calm, influence, objective):
        inputs = np.concatenate([ops.convert_to_numpy(x), rest])
        outputs, state_sizes, state = self.look(inputs)
        early = slice(-(-self.tau // 4))
        with np.errstate(invalid="ignore", over="ignore"):
            change = np.abs(outputs - calm[0])[self.tau :].max(axis=(1, 2, 3))
        return ReceptiveFieldResult(
            name=self.subject.name,
            inputs=inputs,
            outputs=outputs,
            state=state,
            objective=np.array(objective),
            influence=influence,
            disturbance=change,
            state_sizes=state_sizes,
            usual_output=max(1.0, float(np.abs(calm[0][early]).max())),
            usual_state=float(calm[1][early].max()),
        )
