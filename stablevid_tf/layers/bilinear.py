from keras import ops


def enlarge(x, scale):
    """Bilinear enlargement: [B, H, W, C] -> [B, scale H, scale W, C].

    Half-pixel centres, edges repeated, as ``tf.image.resize``. A matrix product along
    each axis, differentiable any number of times.
    """
    _, height, width, _ = ops.shape(x)
    x = ops.einsum("yi,bijc->byjc", _weights(height, scale), x)
    return ops.einsum("xj,byjc->byxc", _weights(width, scale), x)


def _weights(length, scale):
    """[scale * length, length]; every row sums to 1."""
    at = (ops.arange(scale * length, dtype="float32") + 0.5) / scale - 0.5
    away = ops.abs(at[:, None] - ops.arange(length, dtype="float32"))
    weights = ops.maximum(1 - away, 0.0)
    return weights / ops.sum(weights, axis=1, keepdims=True)
