from keras import ops


def remember(value, memory, count, retention):
    """A memory that is a weighted mean of what it was given, and nothing else.

    ```
    n(t) = 1 + r(t) n(t-1)                    how many frames the memory holds
    a(t) = r(t) n(t-1) / n(t)
    m(t) = a(t) m(t-1) + (1 - a(t)) v(t)
    ```

    With `r = 1` it is the mean of all frames so far; `r = 0` forgets them. From
    `n(0) = 0` follows `m(1) = v(1)`. If `0 <= r <= R < 1`, then `n <= 1 / (1 - R)` and
    `a <= R`: two memories `m`, `m'` that are given the same `v` and `r` approach each
    other, `max |m - m'|` shrinking by the factor `R` or more at every frame, and `|m|`
    never exceeds the largest `|v|`. This holds for every weight of a network that
    computes `v` and `r`, as long as neither depends on `m`. A warp of `m` and `n`
    between two frames changes nothing, if its weights are not negative and sum to 1
    at most.

    Related: the convex temporal fusion of Maggioni et al., "Efficient Multi-Stage
    Video Denoising with Recurrent Spatio-Temporal Fusion", 2021; the counter is that
    of a recursive mean (a Kalman filter of a constant).

    Args:
        value: `v(t)`, [B, H, W, C].
        memory: `m(t-1)`, the same shape.
        count: `n(t-1)`, [B, H, W, G], G a divisor of C: channel c of the memory
            belongs to group `c // (C / G)`. 0 before the first frame.
        retention: `r(t)`, [B, H, W, G].

    Returns:
        `(m(t), n(t), a(t))`, shapes as of `memory`, `count`, `count`.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.layers.remember import remember
        >>> memory = count = np.zeros((1, 1, 1, 1), "float32")
        >>> for value in (3.0, 6.0, 0.0):
        ...     memory, count, _ = remember(value + 0 * memory, memory, count, 1.0)
        >>> float(memory[0, 0, 0, 0])
        3.0
    """
    carried = retention * count
    new = 1.0 + carried
    weight = carried / new
    each = ops.shape(memory)[-1] // ops.shape(count)[-1]
    spread = ops.repeat(weight, each, axis=-1) if each > 1 else weight
    return value + spread * (memory - value), new, weight
