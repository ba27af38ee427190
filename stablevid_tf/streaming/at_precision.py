from stablevid_tf.backend.precision import policy_of
from stablevid_tf.models import ClipRestorer, RecurrentRestorer


def at_precision(model, precision):
    """A model that computes in another precision.

    Args:
        model: a `RecurrentRestorer` or `ClipRestorer`; it is not changed. With `"auto"`
            and `"float32"` any other model is returned as it is.
        precision: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`.

    Returns:
        A model of the same class with plain convolutions, whose weights are copies.
        `model` itself if it has this precision.

    Raises:
        ValueError: the model is of another kind; the precision is unknown.

    Example:
        >>> from stablevid_tf import models
        >>> from stablevid_tf.streaming.at_precision import at_precision
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> at_precision(model, "bfloat16").dtype_policy.name
        'mixed_bfloat16'
    """
    policy = policy_of(precision)
    if not isinstance(model, RecurrentRestorer | ClipRestorer):
        if precision in ("auto", "float32"):
            return model
        raise ValueError(
            f"The precision of {type(model).__name__} cannot be set. "
            f"Received: precision={precision!r}. Use auto, or a model of "
            "stablevid_tf.models"
        )
    if model.dtype_policy.name == policy:
        return model
    model.build()
    folded = model.fold()
    twin = type(folded).from_config(_with_policy(folded.get_config(), policy))
    twin.build()
    twin.set_weights(folded.get_weights())
    return twin


def _with_policy(config, policy):
    """A configuration with `policy` as the dtype policy of every layer."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return config | {"config": {"name": policy}}
        return {
            key: policy
            if key == "dtype" and isinstance(value, str)
            else _with_policy(value, policy)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_with_policy(value, policy) for value in config)
    return config
