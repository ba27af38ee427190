"""A model that removes more or less than it did."""

from stablevid_tf.cells.noise_level_cell import NoiseLevelCell
from stablevid_tf.cells.strength_cell import StrengthCell
from stablevid_tf.cells.strength_clip import StrengthClip
from stablevid_tf.models.clip_restorer import ClipRestorer
from stablevid_tf.models.recurrent_restorer import RecurrentRestorer

# Below this strength a model with a noise map fades out, so that 0 changes nothing.
_FADE = 0.1


def at_strength(
    model: RecurrentRestorer | ClipRestorer, strength: float
) -> RecurrentRestorer | ClipRestorer:
    """A model that scales what another model removes.

    With x the input and r the output of the model, the result for S from 0 to 1 is

        y = x + S (r - x)

    so that 0 returns the input bit by bit, and 1 is the model. For S from 1 to 2 the
    model restores its own output, with a state of its own, and

        y = (2 - S) first pass + (S - 1) second pass

    at twice the time per frame. The result is continuous in S, and a reset of the
    state resets both passes. A model with a noise map is told S times its noise level
    instead, at most 255, in one pass; below S = 0.1 the blend with the input fades it
    out.

    Args:
        model: a `RecurrentRestorer` or `ClipRestorer` of scale 1. A model with a noise
            map must have been told its level (`models.at_noise_level`, `zoo.load`).
        strength: S, 0 to 2.

    Returns:
        A model of the same class with the same weights (shared, not copied). Of a
        model that this function made, the blend is replaced; a noise level that it
        scaled stays scaled.

    Raises:
        ValueError: another kind of model; a model that enlarges or expects a noise
            map; `strength` out of range.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> clip = np.random.default_rng(0).random((1, 3, 16, 24, 3), "float32")
        >>> half = models.at_strength(model, 0.5).predict(clip, verbose=0)
        >>> full = model.predict(clip, verbose=0)
        >>> bool(np.allclose(half, (clip + full) / 2, atol=1e-6))
        True
    """
    if not isinstance(model, RecurrentRestorer | ClipRestorer):
        raise ValueError(
            "at_strength takes a model of stablevid_tf.models (build, zoo.load). "
            f"Received: {type(model).__name__}"
        )
    model.build()
    network = model.network
    if isinstance(network, StrengthCell):
        network = network.cell
    share = strength
    if isinstance(network, NoiseLevelCell) and 0 < strength <= 2:
        level = min(255.0, network.sigma * strength)
        network = NoiseLevelCell(network.cell, level)
        share = min(1.0, strength / _FADE)
        if share == 1:
            return _restorer(model, network)
    wrapper = StrengthCell if model.causal else StrengthClip
    return _restorer(model, wrapper(network, share))


def _restorer(model, network):
    made = type(model)(network, name=model.name)
    made.build()
    return made
