from keras import ops


def enlarge(x, scale):
    """Bilinear enlargement: [B, H, W, C] -> [B, scale H, scale W, C].

    Half-pixel centres, edges repeated, as ``tf.image.resize``. Sums of shifted maps:
    of any order differentiable, and cheap for many channels.
    """
    return _enlarge_axis(_enlarge_axis(x, scale, 1), scale, 2)


def _enlarge_axis(x, scale, axis):
    if scale == 1:
        return x
    rows = ops.moveaxis(x, axis, 1)
    before, after = neighbours(rows)
    phases = []
    for phase in range(scale):
        away = (phase + 0.5) / scale - 0.5
        other = before if away < 0 else after
        phases.append((1 - abs(away)) * rows + abs(away) * other)
    batch, length, *rest = ops.shape(rows)
    rows = ops.reshape(ops.stack(phases, axis=2), (batch, length * scale, *rest))
    return ops.moveaxis(rows, 1, axis)


def neighbours(x):
    """`x(i - 1)` and `x(i + 1)` along the second axis, edges repeated."""
    before = ops.concatenate([x[:, :1], x[:, :-1]], axis=1)
    after = ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)
    return before, after


def resize(x, height, width, corners=False):
    """Bilinear resizing: [B, H, W, C] -> [B, height, width, C].

    Not antialiased. A matrix product along each axis: for few channels.

    Args:
        height, width: of the result.
        corners: the centres of the corner pixels stay where they are; otherwise the
            picture's edges do (half-pixel centres), edge pixels being repeated.
    """
    _, rows, columns, _ = ops.shape(x)
    x = ops.einsum("yi,bijc->byjc", _weights(rows, height, corners), x)
    return ops.einsum("xj,byjc->byxc", _weights(columns, width, corners), x)


def _weights(length, new, corners):
    """[new, length]; every row sums to 1."""
    at = ops.arange(new, dtype="float32")
    last, final = (ops.cast(n - 1, "float32") for n in (length, new))
    if corners:
        at = at * (last / ops.maximum(final, 1))
    else:
        at = (at + 0.5) * ((last + 1) / (final + 1)) - 0.5
    at = ops.clip(at, 0, last)
    away = ops.abs(at[:, None] - ops.arange(length, dtype="float32"))
    return ops.maximum(1 - away, 0)
