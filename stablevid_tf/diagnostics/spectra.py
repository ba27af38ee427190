import dataclasses
import os
from typing import Any

import numpy as np

from stablevid_tf.diagnostics.kernels import (
    CONVOLUTIONS,
    OTHERS,
    declared_loops,
    layer_names,
    network_of,
    slice_name,
)
from stablevid_tf.diagnostics.layer_spectrum import LayerSpectrum, layer_spectrum
from stablevid_tf.numerics.geometry import check_size

_POINTS = 512


@dataclasses.dataclass(frozen=True)
class Spectra:
    """The singular values of a model's convolutions (see `spectra`).

    Attributes:
        model: the model's name.
        layers: a tuple of `diagnostics.LayerSpectrum`.
        skipped: `((name, reason), ...)` of the convolutions that are unsupported.
    """

    model: str
    layers: tuple[LayerSpectrum, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def verdict(self) -> str:
        """The range of the spectral norms, as text."""
        norms = [layer.norm for layer in self.layers]
        return f"norms {min(norms):.2f} to {max(norms):.2f}"

    def summary(self) -> str:
        """The numbers, and what follows from them."""
        ranks = [layer.stable_rank for layer in self.layers]
        skipped = f" ({len(self.skipped)} skipped)" if self.skipped else ""
        return (
            f"{self.model}: {len(self.layers)} convolutions{skipped}, spectral "
            f"{self.verdict}, stable ranks {min(ranks):.3f} to {max(ranks):.3f} of "
            "full rank. The norms of single layers do not show whether a model is "
            "stable; the gains of its feedback loops may (see the certificate)."
        )

    def average(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Index from 0 to 1, mean and standard deviation over the layers.

        Layers differ in their number of singular values, so the index of each spectrum
        runs from 0 (the largest value, the norm) to 1 (the smallest).
        """
        at = np.linspace(0, 1, _POINTS)
        curves = [
            np.interp(at, np.linspace(0, 1, len(layer.values)), layer.values)
            for layer in self.layers
        ]
        return at, np.mean(curves, axis=0), np.std(curves, axis=0)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write the average spectrum as a PNG, as in tables 2 and 3 of the paper."""
        from matplotlib.figure import Figure

        at, mean, deviation = self.average()
        figure = Figure(figsize=(4, 3), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(
            at, mean - deviation, mean + deviation, color="C0", alpha=0.25, lw=0
        )
        axes.plot(at, mean, color="C0")
        axes.axhline(1, color="C1", lw=0.8)
        axes.set(
            title=f"{self.model}: mean of {len(self.layers)} convolutions",
            xlabel="index of the singular value, 0 to 1",
            ylabel="singular value (gain)",
            xlim=(0, 1),
            ylim=(0, None),
        )
        figure.savefig(path, dpi=150)


def spectra(model: Any, size: int = 32) -> Spectra:
    """Compute the singular values of every convolution of a model.

    The values are exact on periodic maps, by Fourier transform, as in the paper
    (section 3.1, after Sedghi et al.). The result also has an upper bound of the norm
    with zero padding for every size. The values on maps of 32 are a sample of those on
    larger maps: every fourth of those on the paper's maps of 64.

    Args:
        model: any model that `diagnose` takes, or any Keras model with convolutions
            (1D to 3D, transposed too). For a restorer or a cell the folded kernels are
            used, which inference runs.
        size: side of the maps, in frequencies. A 3D convolution gets as many
            frequencies in total as a 2D one.

    Returns:
        A `Spectra`.

    Raises:
        ValueError: the model holds no supported convolution.

    Example:
        >>> from stablevid_tf import diagnostics, models
        >>> model = models.build("vresnet_feat", features=4, blocks=1)
        >>> found = diagnostics.spectra(model, size=8)
        >>> [layer.name for layer in found.layers]
        ['head', 'body[0].conv1', 'body[0].conv2', 'tail']
        >>> found.layers[1].loop, len(found.layers[1].values)
        ('stage 0: body[0].conv1[4:]', 256)
    """
    check_size("size", size)
    network = network_of(model)
    name = getattr(model, "name", type(model).__name__)
    names = layer_names(network)
    loops = _loop_names(network, names)
    layers, skipped = [], []
    for layer, path in names.items():
        if not isinstance(layer, CONVOLUTIONS + OTHERS):
            continue
        try:
            layers.append(layer_spectrum(layer, path, loops.get(layer), size))
        except ValueError as error:
            skipped.append((path, str(error)))
    if not layers:
        raise ValueError(
            "Spectra need a Keras model that holds supported convolutions. Received: "
            f"{name} ({type(model).__name__})"
            + "".join(f"; {path}: {why}" for path, why in skipped)
        )
    return Spectra(name, tuple(layers), tuple(skipped))


def _loop_names(network, names):
    """`{convolution: "loop: slice"}` of the convolutions on declared loops."""
    return {
        part.conv: f"{loop.name}: {slice_name(part, names)}"
        for loop in declared_loops(network) or ()
        for part in loop.slices()
    }
