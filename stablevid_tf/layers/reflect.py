from keras import ops


def reflect_to_multiple(x, multiple):
    """[B, H, W, C] -> [B, H', W', C], the next sizes that ``multiple`` divides.

    Grows at the bottom and on the right, by reflection about the last pixel's centre;
    small pictures are reflected more than once.
    """
    for axis in (1, 2):
        length = ops.shape(x)[axis]
        if isinstance(length, int) and length % multiple == 0:
            continue
        at = ops.arange(-(-length // multiple) * multiple, dtype="int32")
        period = ops.maximum(2 * (length - 1), 1)
        at = at % period
        x = ops.take(x, ops.minimum(at, period - at), axis=axis)
    return x
