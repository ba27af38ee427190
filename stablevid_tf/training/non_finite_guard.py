import warnings

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend
from stablevid_tf.training.lowered_rate import lower, rate_variable


class NonFiniteGuard(keras.callbacks.Callback):
    """Goes back when a loss or a weight is infinite or not a number, and slows down.

    Every ``every`` good batches the weights and the optimiser's state are copied into
    memory. Where a batch's loss is not finite, or a weight is not after its update, the
    last copy is put back and the learning rate multiplied by ``factor``; training goes
    on with the next batch. A schedule stays a schedule, multiplied; its steps run again
    from the copy's. :class:`Resume` keeps the lowered rate.

    It belongs before the callbacks that save, so that nothing broken is saved. Gradient
    clipping, which makes it rarer, is an argument of Keras' optimisers: ``clipnorm``
    (each weight's), ``global_clipnorm`` (all together), ``clipvalue``.

    A run that went back and is then killed goes on from what was saved, but its copies
    are made at other batches than those of the unbroken run.

    Args:
        every: batches between copies.
        factor: in (0, 1).
        limit: after so many returns without a good copy between them it gives up.

    Raises:
        FloatingPointError: it gave up; the weights are those of the last copy.

    Example:
        >>> from stablevid_tf.training import NonFiniteGuard
        >>> model.fit(clips, callbacks=[NonFiniteGuard()])       # doctest: +SKIP
    """

    def __init__(self, every=100, factor=0.5, limit=8):
        super().__init__()
        for name, value in (("every", every), ("limit", limit)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"{name} must be a positive integer. Received: {value!r}"
                )
        if not 0 < factor < 1:
            raise ValueError(
                "factor, by which the rate is lowered, lies between 0 and 1. "
                f"Received: {factor!r}"
            )
        self.every = every
        self.factor = factor
        self.limit = limit
        self.returns = 0
        self._finite = backend.compile(_all_finite)

    def on_train_begin(self, logs=None):
        self._copy = None
        self._in_a_row = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        # Not as training begins: weights may still be loaded then.
        if self._copy is None and self.model.built:
            if not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            self._keep()

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        getattr(self.model, "jax_state_sync", lambda: None)()
        weights = [ops.convert_to_tensor(w) for w in self.model.weights]
        if np.isfinite(float(loss)) and bool(self._finite(weights)):
            if self._copy is None:
                self._keep()
            self._good += 1
            if self._good >= self.every:
                self._keep()
                self._in_a_row = 0
            return
        self._return(batch, float(loss))

    def _variables(self):
        """All but the learning rate, which a return lowers."""
        rate = rate_variable(self.model.optimizer)
        every = [*self.model.variables, *self.model.optimizer.variables]
        return [v for v in every if v is not rate]

    def _keep(self):
        self._copy = [ops.convert_to_numpy(v).copy() for v in self._variables()]
        self._metrics = (
            self._epoch,
            [ops.convert_to_numpy(v).copy() for v in self.model.metrics_variables],
        )
        self._good = 0

    def _return(self, batch, loss):
        what = "a weight is not finite" if np.isfinite(loss) else f"the loss is {loss}"
        told = f"Epoch {self._epoch + 1}, batch {batch + 1}: {what}"
        if self._copy is None:
            raise FloatingPointError(f"{told}, before any good batch.")
        for variable, value in zip(self._variables(), self._copy, strict=True):
            variable.assign(value)
        epoch, values = self._metrics
        metrics = self.model.metrics_variables
        if epoch == self._epoch and len(values) == len(metrics):
            for variable, value in zip(metrics, values, strict=True):
                variable.assign(value)
        else:
            self.model.reset_metrics()
        self.returns += 1
        self._in_a_row += 1
        if self._in_a_row > self.limit:
            raise FloatingPointError(
                f"{told}, for the {self._in_a_row}th time on end. The weights are the "
                "last good ones. Train with a lower rate or with clipped gradients, "
                "and look for what is not finite in the data."
            )
        lower(self.model, self.factor)
        self._good = 0
        warnings.warn(
            f"{told}; the last good weights are back, and the rate is "
            f"{float(self.model.optimizer.learning_rate):.3g}",
            stacklevel=2,
        )


def _all_finite(weights):
    return ops.all(
        ops.stack(
            [
                ops.all(ops.isfinite(w))
                for w in weights
                if "float" in keras.backend.standardize_dtype(w.dtype)
            ]
        )
    )
