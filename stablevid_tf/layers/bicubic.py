from keras import ops


def enlarge(x, scale):
    """Bicubic enlargement: [B, H, W, C] -> [B, scale H, scale W, C].

    Cubic convolution (Keys, 1981, a = -1/2) at half-pixel centres, as
    ``tf.image.resize``; at the edges the weights that fall outside are left out and the
    rest made to sum to 1. A matrix product along each axis, because TensorFlow's own
    operation has no second derivative, which forward-mode products need.
    """
    _, height, width, _ = ops.shape(x)
    x = ops.einsum("yi,bijc->byjc", _weights(height, scale), x)
    return ops.einsum("xj,byjc->byxc", _weights(width, scale), x)


def _weights(length, scale):
    """[scale * length, length]; every row sums to 1."""
    at = ops.arange(scale * length, dtype="float32") + 0.5
    away = ops.abs(at[:, None] / scale - 0.5 - ops.arange(length, dtype="float32"))
    near = 1.5 * away**3 - 2.5 * away**2 + 1
    far = -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2
    weights = ops.where(away < 1, near, ops.where(away < 2, far, 0.0))
    return weights / ops.sum(weights, axis=1, keepdims=True)
