import keras


def near_zero(scale=1e-6):
    """An initialiser of kernels whose variance is `scale` over the number of inputs.

    A branch that is added to its input starts as almost nothing with it. Zeros would do
    the same, but a constraint divides kernels by their norm.
    """
    return keras.initializers.VarianceScaling(scale)
