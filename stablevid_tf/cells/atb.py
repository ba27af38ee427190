import keras
from keras import ops

from stablevid_tf.cells.add_on import AddOn
from stablevid_tf.layers.loop import ConvSlice, Unbounded, around


@keras.saving.register_keras_serializable(package="stablevid_tf")
class ATB(AddOn):
    """Adaptive temporal blending: blends a cell's features with the previous ones.

    ::

        [a, b] = K * [f(t), f~(t-1)]
        w(x)   = sigmoid(K_1x1 * relu(K_3x3 * x))       of a and of b, kernels of each
        f~(t)  = w(a) f(t) + w(b) f~(t-1)

    Of c channels: ``56 c^2 + 6 c`` parameters, 201,960 for c = 60 and 358,880 for
    c = 80. Source: Park et al., "Recurrence-in-Recurrence Networks for Video
    Deblurring", table S4.

    Its loop has no gain bound: the weights depend on what they weigh. (Each lies
    between 0 and 1, so f~(t) is never larger than f(t) and f~(t-1) together; but
    nothing makes a weight stay below 1.)

    Args:
        cell: a :class:`stablevid_tf.cells.DeblurringCell`, an add-on too.
        on: ``"features"``, or ``"hidden"`` to blend h(t) so (table S5's ATB + ATB); the
            blended state then replaces h(t) in what is fed back (our guess).

    Call arguments:
        frames: as the cell takes them.
        state: ``(h, memory)``; on the features the memory is ``(the cell's, f~)``.

    Raises:
        ValueError: the cell does not name its parts; ``on`` is neither.

    Example:
        >>> from stablevid_tf import cells, models
        >>> cell = cells.ATB(cells.IRM(cells.IFIRNN(features=4, blocks=1)))
        >>> model = models.RecurrentRestorer(cell)
    """

    def __init__(self, cell, on="features", **kwargs):
        super().__init__(cell, on, **kwargs)
        c = self.width
        self.both = self.conv(2 * c)
        self.of_new = [self.conv(c), self.conv(c, 1)]
        self.of_previous = [self.conv(c), self.conv(c, 1)]

    def join(self, new, previous):
        """``f~(t)`` from ``f(t)`` and ``f~(t-1)``."""
        previous = ops.cast(previous, new.dtype)
        x = self.both(ops.concatenate([new, previous], axis=-1))
        a, b = ops.split(x, 2, axis=-1)
        return _weight(self.of_new, a) * new + _weight(self.of_previous, b) * previous

    def hidden_path(self):
        path = self.cell.hidden_path()
        return (*path, *self._terms()) if self.on == "hidden" else path

    def memory_loops(self):
        loops = self.cell.memory_loops()
        if self.on == "hidden":
            return loops
        return [*loops, around("blended features", self._terms())]

    def _terms(self):
        return (
            ConvSlice(self.both),
            Unbounded(
                "the blending weights multiply what is remembered by a function of it, "
                "and such a product enlarges differences the more the larger that is"
            ),
        )


def _weight(convs, x):
    first, last = convs
    return ops.sigmoid(last(ops.relu(first(x))))
