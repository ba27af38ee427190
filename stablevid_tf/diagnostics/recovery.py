import collections
import dataclasses
import os
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from stablevid_tf import backend
from stablevid_tf.diagnostics.receptive_field_result import ReceptiveFieldResult
from stablevid_tf.diagnostics.subject import Subject
from stablevid_tf.models.flushed import flushed

# Two outputs that agree this well differ by less than the rounding error of a file of
# 8 bits: 20 log10(255 sqrt(12)) = 58.9 dB.
_SAME = 60.0


@dataclasses.dataclass(frozen=True)
class RecoveryResult:
    """Whether a model recovered; see `diagnostics.recovery`.

    Attributes:
        name: the model's name.
        psnr: [frames] dB, of the output from the state that the field left, against
            the reference; without a reference, against the output from a zero state.
        psnr_from_zero: [frames] dB, of the output from a zero state against the
            reference; None without a reference.
        tolerance: dB.
    """

    name: str
    psnr: np.ndarray
    psnr_from_zero: np.ndarray | None
    tolerance: float

    @property
    def frames_needed(self) -> int | None:
        """The first frame from which on all frames are good; None if there is none."""
        # A comparison with NaN is false: such a frame is not good.
        good = (self.psnr >= self._wanted()) & (self.psnr >= 0)
        (bad,) = np.nonzero(~good)
        needed = int(bad[-1]) + 1 if len(bad) else 0
        return needed if needed <= 0.9 * len(self.psnr) else None

    def _wanted(self):
        if self.psnr_from_zero is None:
            return np.full(len(self.psnr), _SAME)
        return self.psnr_from_zero - self.tolerance

    @property
    def recovered(self) -> bool:
        """Whether the model recovered, for at least the last tenth of the frames."""
        return self.frames_needed is not None

    @property
    def verdict(self) -> str:
        """ "recovers" or "does not recover"."""
        return "recovers" if self.recovered else "does not recover"

    def summary(self) -> str:
        """The verdict, its rule and its numbers, in plain sentences."""
        if self.psnr_from_zero is None:
            rule = (
                f"agrees to {_SAME:g} dB with that from a zero state (the difference "
                "is below the rounding of an 8-bit file)"
            )
        else:
            rule = (
                f"is within {self.tolerance:g} dB of the quality from a zero state "
                f"({self.psnr_from_zero[-1]:.2f} dB on the last frame)"
            )
        if self.recovered:
            text = f"From frame {self.frames_needed} on, the output {rule}"
        else:
            text = (
                f"In {len(self.psnr)} frames, there is none from which on the output "
                f"{rule}"
            )
        first, last = self.psnr[0], self.psnr[-1]
        return (
            f"{self.name} {self.verdict}. {text}. From the field's state, PSNR is "
            f"{first:.2f} dB on the first frame and {last:.2f} dB on the last."
        )

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a PNG of the PSNR per frame, from either state."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.add_subplot()
        t = np.arange(len(self.psnr))
        if self.psnr_from_zero is None:
            axes.axhline(_SAME, color="C1", label="equal to 8 bits")
        else:
            axes.plot(t, self.psnr_from_zero, color="C1", label="from a zero state")
        axes.plot(t, self.psnr, color="C0", label="from the field's state")
        if self.frames_needed:
            axes.axvline(
                self.frames_needed, color="C2", linestyle=":", label="recovered"
            )
        axes.set(
            xlabel="frame", ylabel="PSNR (dB)", title=f"{self.name} {self.verdict}"
        )
        axes.legend(loc="best", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, dpi=150)


def recovery(
    model: Any,
    field: ReceptiveFieldResult,
    frames: Iterable[ArrayLike],
    reference: Iterable[ArrayLike] | None = None,
    tolerance: float = 0.1,
) -> RecoveryResult:
    """Test whether a model recovers, on ordinary video, from harmful input.

    The model starts from the state that the temporal receptive field left (the input
    that was optimised to make it diverge). A model that forgets that input restores
    the video as well as from a zero state; an unstable one may never recover, or get
    worse. Runs from both states go side by side, frame by frame, in memory that does
    not grow.

    The model recovers if, from some frame on and for at least the last tenth of the
    frames, the PSNR of the raw output (nothing is clipped) is at most `tolerance`
    below that from a zero state, and not below 0 dB, which is divergence. Without a
    reference the two outputs are compared: they must agree to 60 dB.

    Args:
        model: see `diagnostics.subject.Subject`.
        field: the result of `diagnostics.temporal_receptive_field` for this model.
        frames: iterable of [H, W, C], floating in [0, 1] give or take noise, of the
            field's size.
        reference: iterable of the true frames [scale H, scale W, C], one for each
            frame. Default: none.
        tolerance: in dB, with a reference.

    Returns:
        `RecoveryResult`, with `.recovered` and `.frames_needed`.

    Raises:
        ValueError: the model is not recurrent; the field belongs to another model;
            there are no frames, or frames of another size; the reference does not fit.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import diagnostics, models
        >>> model = models.build("vresnet_single", features=4, blocks=1)
        >>> field = diagnostics.temporal_receptive_field(
        ...     model, tau=4, size=8, iterations=20)
        >>> video = np.full((20, 8, 8, 3), 0.5, "float32")
        >>> diagnostics.recovery(model, field, video).frames_needed
        0
    """
    subject = Subject(model)
    shape = field.inputs.shape[1:]
    zero = subject.initial_state(ops.zeros((1, *shape)))
    _check_state(field.state, zero, subject.name)
    state = keras.tree.map_structure(ops.convert_to_tensor, field.state)
    step = backend.compile(subject.step)
    truths, late = iter(() if reference is None else reference), collections.deque()
    quality, from_zero = [], []
    for t, frame in enumerate(flushed(frames, subject.latency)):
        frame = _checked(frame, t, shape)
        late.append(next(truths, None))
        if t == 0:
            zero = subject.initial_state(frame)
        (out, state), (fresh, zero) = step(frame, state), step(frame, zero)
        if t < subject.latency:
            continue
        out, fresh, truth = out[0], fresh[0], late.popleft()
        if reference is None:
            quality.append(_psnr(out, fresh))
            continue
        _check_truth(truth, t - subject.latency, tuple(out.shape))
        quality.append(_psnr(out, truth))
        from_zero.append(_psnr(fresh, truth))
    if not quality:
        raise ValueError("`frames` is empty. Give at least one frame.")
    return RecoveryResult(
        name=subject.name,
        psnr=np.array(quality),
        psnr_from_zero=None if reference is None else np.array(from_zero),
        tolerance=tolerance,
    )


def _checked(frame, index, shape):
    frame = np.asarray(frame)
    if frame.shape != shape or not np.issubdtype(frame.dtype, np.floating):
        raise ValueError(
            f"Frame {index} must be floating in [0, 1], of the field's shape {shape}. "
            f"Received: {frame.dtype} of shape {frame.shape}. Crop the frame, or make "
            "a field of another size."
        )
    return ops.convert_to_tensor(frame[None].astype("float32"))


def _check_truth(truth, index, shape):
    if truth is None:
        raise ValueError(
            f"The reference ended after {index} frames, before the frames did. Give "
            "one for every frame."
        )
    if np.shape(truth) != shape:
        raise ValueError(
            f"Frame {index} of the reference must have the shape of the restored "
            f"frame, {shape}. Received: {np.shape(truth)}"
        )


def _check_state(state, wanted, name):
    flat, wanted = keras.tree.flatten(state), keras.tree.flatten(wanted)
    shapes, fitting = [tuple(s.shape) for s in flat], [tuple(s.shape) for s in wanted]
    if shapes != fitting:
        raise ValueError(
            f"The field's state does not fit {name}, whose state has shapes {fitting}. "
            f"Received: {shapes}. Use a field of the same model."
        )


def _psnr(a, b):
    """PSNR of raw frames, infinite where they are equal."""
    a, b = (ops.convert_to_numpy(x).astype("float64") for x in (a, b))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return -10 * np.log10(np.mean((a - b) ** 2))
