"""What the command line does about how noisy a video is."""

import warnings

from stablevid_tf.streaming.video_noise import measured_noise, takes_level

__all__ = ["at_noise", "measured_noise", "takes_level"]

# Below half the level a model was trained for it blurs, above twice it leaves noise.
_MISFIT = 2.0


def at_noise(model, trained_for, measured, sigma, strength):
    """The model for this noise, at this strength.

    Args:
        model: a model of `stablevid_tf.models`, or one of a user's own.
        trained_for: the noise level that a model for one level was trained for, in
            units of 255; None: unknown.
        measured: the video's noise level; None: unknown.
        sigma: the noise level that the user gives; None: not given.
        strength: how much is removed, 0 to 2, as for `models.at_strength`; None: 1.

    Returns:
        The model; if it has a noise map, set to its level.

    Raises:
        ValueError: `sigma` for a model for one level; a model with a noise map if
            the level is neither given nor measured; as `models.at_strength`.
    """
    from stablevid_tf.models import at_noise_level, at_strength

    noise = measured if sigma is None else sigma
    strength = 1.0 if strength is None else strength
    if takes_level(model):
        if noise is None:
            raise ValueError("The frames are too small to measure noise: give --sigma")
        model = at_strength(at_noise_level(model, noise), strength)
        by = "measured" if sigma is None else "given"
        told = min(255.0, noise * strength)
        print(f"noise: {noise:.1f} of 255 ({by}); the model is told {told:.1f}")
        return model
    if sigma is not None:
        raise ValueError(
            f"{model.name} has no noise map: it was trained for one noise level, or "
            f"for any. Received: --sigma {sigma:g}. Leave --sigma out"
        )
    if strength != 1:
        model = at_strength(model, strength)
    if not trained_for or noise is None:
        return model
    if not trained_for / _MISFIT <= noise <= trained_for * _MISFIT:
        what = "blur it" if noise < trained_for else "leave much of the noise"
        warnings.warn(
            f"the video's noise is about {noise:.0f} of 255 and the model was trained "
            f"for {trained_for:.0f}: it will {what}. Leave --model out for a denoiser "
            "that fits any level ('stablevid zoo list' names all models)",
            stacklevel=2,
        )
    return model
