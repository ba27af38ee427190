from stablevid_tf.backend.precision import policy_of
from stablevid_tf.models import at_noise_level, at_strength
from stablevid_tf.streaming.at_precision import at_precision
from stablevid_tf.streaming.video_noise import lacks_level, takes_level


def ready(model, measure, sigma=None, strength=1.0, precision=None):
    """The model that `restore_file` runs.

    Args:
        model: a model, or the name of a zoo entry.
        measure: a function without arguments that returns the video's noise level, or
            None; called if a model with a noise map has no level.
        sigma, strength, precision: as for `restore_file`.

    Raises:
        ValueError: as `restore_file`.
    """
    if isinstance(model, str):
        from stablevid_tf import zoo

        model = zoo.load(model, dtype=policy_of(precision or "auto"))
    elif precision is not None:
        model = at_precision(model, precision)
    if sigma is not None and not takes_level(model):
        name = getattr(model, "name", type(model).__name__)
        raise ValueError(
            f"{name} has no noise map, so no noise level can be set. "
            f"Received: sigma={sigma!r}. Leave sigma out"
        )
    if sigma is None and lacks_level(model):
        sigma = measure()
        if sigma is None:
            raise ValueError("The frames are too small to measure noise. Give sigma")
    if sigma is not None:
        model = at_noise_level(model, sigma)
    return model if strength == 1 else at_strength(model, strength)
