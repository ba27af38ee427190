import keras
from keras import ops

from stablevid_tf.cells.add_on import AddOn
from stablevid_tf.layers.loop import Beside, ConvSlice, Loop
from stablevid_tf.layers.residual_stage import ResidualStage


@keras.saving.register_keras_serializable(package="stablevid_tf")
class IRM(AddOn):
    """Inner-recurrence module: refines a cell's hidden state with the previous one.

    ``h~(t) = B2(K4 * B1(K3 * K2 * K1 * [h(t), h~(t-1)]))``: of c channels each, three
    convolutions and a residual block of 2c, a convolution to c, a residual block of c.
    No activation but in the blocks. ``216 c^2 + 13 c`` parameters, 86,660 for c = 20.
    ``h~`` replaces h(t) in what is fed back (our guess). Source: Park et al.,
    "Recurrence-in-Recurrence Networks for Video Deblurring", table S3.

    Its loop on the hidden state joins two ways from h~(t-1) to h~(t), through the cell
    and beside it; on the features it is one of its own.

    Args:
        cell: a :class:`stablevid_tf.cells.DeblurringCell`, an add-on too.
        on: ``"hidden"``, or ``"features"`` to refine f(t) so (table S5's IRM + IRM).

    Call arguments:
        frames: as the cell takes them.
        state: ``(h, memory)``; on the features the memory is ``(the cell's, f~)``.

    Raises:
        ValueError: the cell does not name its parts; ``on`` is neither.

    Example:
        >>> from stablevid_tf import cells, models
        >>> cell = cells.IRM(cells.IFIRNN(features=4, blocks=1))
        >>> model = models.RecurrentRestorer(cell)
    """

    def __init__(self, cell, on="hidden", **kwargs):
        super().__init__(cell, on, **kwargs)
        c = self.width
        own = (c if on == "features" else None, None)
        self.convs = [self.conv(2 * c, loop=own), self.conv(2 * c), self.conv(2 * c)]
        self.block1 = self._block(2 * c)
        self.narrow = self.conv(c)
        self.block2 = self._block(c)

    def _block(self, filters):
        return ResidualStage(
            self.conv(filters), self.conv(filters), dtype=self.dtype_policy
        )

    def join(self, new, previous):
        """``h~(t)`` from ``h(t)`` and ``h~(t-1)``."""
        x = ops.concatenate([new, ops.cast(previous, new.dtype)], axis=-1)
        for conv in self.convs:
            x = conv(x)
        return self.block2(self.narrow(self.block1(x)))

    def _after_entry(self):
        return (
            *(ConvSlice(conv) for conv in self.convs[1:]),
            self.block1.term(),
            ConvSlice(self.narrow),
            self.block2.term(),
        )

    def hidden_path(self):
        path = self.cell.hidden_path()
        if self.on == "features":
            return path
        return Beside(path), ConvSlice(self.convs[0]), *self._after_entry()

    def memory_loops(self):
        loops = self.cell.memory_loops()
        if self.on == "hidden":
            return loops
        entry = ConvSlice(self.convs[0], self.width)
        return [*loops, Loop("refined features", entry, self._after_entry())]
