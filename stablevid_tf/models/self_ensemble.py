"""A model that averages over the flips and rotations of its frames."""

from stablevid_tf.cells.self_ensemble_cell import SelfEnsembleCell
from stablevid_tf.cells.self_ensemble_clip import SelfEnsembleClip
from stablevid_tf.models.clip_restorer import ClipRestorer
from stablevid_tf.models.recurrent_restorer import RecurrentRestorer


def self_ensemble(
    model: RecurrentRestorer | ClipRestorer,
) -> RecurrentRestorer | ClipRestorer:
    """``y = mean over g of g^-1(model(g(frames)))``: the x8 self-ensemble.

    g runs over the eight flips and rotations of a frame. A restorer comes out, with the
    same weights (shared, not copied): a causal model still steps and streams, with
    eight states. Eight times the work. Source: Fan et al., 2019 (the challenge models
    of WDVR).

    Args:
        model: a :class:`stablevid_tf.models.RecurrentRestorer` or
            :class:`stablevid_tf.models.ClipRestorer`.

    Returns:
        A model of the same class.

    Raises:
        ValueError: another kind of model.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> ensemble = models.self_ensemble(model)
        >>> clip = np.random.default_rng(0).random((1, 3, 8, 12, 3), "float32")
        >>> turned = ensemble.predict(np.rot90(clip, axes=(2, 3)), verbose=0)
        >>> upright = ensemble.predict(clip, verbose=0)
        >>> bool(np.allclose(turned, np.rot90(upright, axes=(2, 3)), atol=1e-5))
        True
    """
    if not isinstance(model, RecurrentRestorer | ClipRestorer):
        raise ValueError(
            "self_ensemble takes a model of stablevid_tf.models (build, zoo.load). "
            f"Received: {type(model).__name__}"
        )
    model.build()
    network = SelfEnsembleCell if model.causal else SelfEnsembleClip
    ensemble = type(model)(network(model.network), name=f"{model.name}_x8")
    ensemble.build()
    return ensemble
