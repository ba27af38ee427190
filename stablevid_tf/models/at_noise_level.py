"""A model with a noise map as one for a known noise level."""

from stablevid_tf.cells.noise_level_cell import NoiseLevelCell
from stablevid_tf.models.recurrent_restorer import RecurrentRestorer


def at_noise_level(model: RecurrentRestorer, sigma: float) -> RecurrentRestorer:
    """A model with a noise map, told one noise level: takes frames as any other does.

    Args:
        model: a recurrent model built with ``noise_map=True``, or what this function
            made of one (to change its level).
        sigma: the noise's standard deviation in units of 255, 0 to 255. More than the
            noise removes more of it, and of the picture.

    Returns:
        A :class:`stablevid_tf.models.RecurrentRestorer` over [B, T, H, W, channels],
        with the same weights (shared, not copied).

    Raises:
        ValueError: a model without a noise map; sigma outside its range.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models
        >>> model = models.build("vresnet_feat", features=8, blocks=1, noise_map=True)
        >>> noisy = np.zeros((1, 3, 16, 24, 3), "float32")
        >>> models.at_noise_level(model, 25).predict(noisy, verbose=0).shape
        (1, 3, 16, 24, 3)
    """
    network = getattr(model, "network", None)
    cell = network.cell if isinstance(network, NoiseLevelCell) else network
    if not getattr(cell, "noise_map", False) or not cell.causal:
        raise ValueError(
            "at_noise_level takes a recurrent model built with noise_map=True. "
            f"Received: {getattr(model, 'name', type(model).__name__)}"
        )
    told = RecurrentRestorer(NoiseLevelCell(cell, sigma), name=model.name)
    told.build()
    return told
