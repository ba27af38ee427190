from keras import ops


def depth_to_space(x, scale):
    """Sub-pixel shuffle: [B, H, W, scale^2 C] -> [B, scale H, scale W, C].

    Channel ``(i * scale + j) * C + c`` of a pixel goes to row ``i``, column ``j`` of
    its block (Shi et al., 2016, in TensorFlow's order of channels).
    """
    if scale == 1:
        return x
    batch, height, width, depth = ops.shape(x)
    channels = depth // scale**2
    x = ops.reshape(x, (batch, height, width, scale, scale, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (batch, height * scale, width * scale, channels))


def space_to_depth(x, scale):
    """The inverse: [B, scale H, scale W, C] -> [B, H, W, scale^2 C]."""
    if scale == 1:
        return x
    batch, height, width, channels = ops.shape(x)
    height, width = height // scale, width // scale
    x = ops.reshape(x, (batch, height, scale, width, scale, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (batch, height, width, scale**2 * channels))
