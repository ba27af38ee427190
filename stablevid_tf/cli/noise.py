"""What the command line does about how noisy a video is."""

import itertools
import warnings

# Frames that the noise is measured on.
_MEASURED = 5
# Below half the level a model was trained for it blurs, above twice it leaves noise.
_MISFIT = 2.0


def measured_noise(source, rate=None, damaged=False):
    """The noise of a video's first frames, in units of 255 (`data.noise_level`).

    The median over the frames; None where they are too small to tell.
    """
    import numpy as np

    from stablevid_tf.data import noise_level, open_video

    with (
        warnings.catch_warnings(action="ignore"),
        open_video(source, rate, damaged) as video,
    ):
        images = [frame.image for frame in itertools.islice(video, _MEASURED)]
    # Sizes that differ, or are too small, are for the restoring to judge.
    levels = [noise_level(x / np.float32(255)) for x in images if min(x.shape[:2]) > 1]
    return float(np.median(levels)) if levels else None


def takes_level(model):
    """Whether a model has a noise map, which wants to be told a level."""
    from stablevid_tf.cells import NoiseLevelCell

    return isinstance(getattr(model, "network", None), NoiseLevelCell)


def at_noise(model, trained_for, measured, sigma, strength):
    """The model for this noise.

    Args:
        model: a model of `stablevid_tf.models`, or one of a user's own.
        trained_for: the noise that a model for one level was trained for, in units of
            255; None: not known.
        measured: the video's noise, or None where it is not known.
        sigma: what the user says of it, or None.
        strength: times the noise is what a model with a noise map is told; None: 1.

    Returns:
        The model; one with a noise map told its level.

    Raises:
        ValueError: `sigma` or `strength` for a model for one level; a level that is
            neither said nor known.
    """
    from stablevid_tf.models import at_noise_level

    noise = measured if sigma is None else sigma
    if takes_level(model):
        if noise is None:
            raise ValueError("The frames are too small to measure noise: give --sigma")
        told = min(255.0, noise * (1.0 if strength is None else strength))
        by = "measured" if sigma is None else "said"
        print(f"noise: {noise:.1f} of 255 ({by}); the model is told {told:.1f}")
        return at_noise_level(model, told)
    if strength is not None or sigma is not None:
        raise ValueError(
            "--sigma and --strength go with a model that has a noise map; "
            f"{model.name} was trained for one noise level"
        )
    if not trained_for or noise is None:
        return model
    if not trained_for / _MISFIT <= noise <= trained_for * _MISFIT:
        what = "blur it" if noise < trained_for else "leave much of the noise"
        warnings.warn(
            f"the video's noise is about {noise:.0f} of 255 and the model was trained "
            f"for {trained_for:.0f}: it will {what}. 'stablevid zoo list' names the "
            "models; one with a noise map fits any level",
            stacklevel=2,
        )
    return model
