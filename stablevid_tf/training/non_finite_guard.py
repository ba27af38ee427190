import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from stablevid_tf import backend
from stablevid_tf.training.lowered_rate import lower, rate_variable


class NonFiniteGuard(keras.callbacks.Callback):
    """Restores the last good weights and lowers the rate when a value is not finite.

    After every `every` good batches the weights and the optimiser's state are copied
    into memory. If the loss of a batch, or a weight after its update, is not finite,
    the last copy is restored and the learning rate is multiplied by `factor`; training
    continues with the next batch. A schedule remains a schedule, multiplied; its steps
    run again from those of the copy. `Resume` keeps the lowered rate.

    Put it before the callbacks that save, so that they save good weights only. Gradient
    clipping makes such values rarer; it is an argument of Keras' optimisers: `clipnorm`
    (per weight), `global_clipnorm` (all weights together), `clipvalue`.

    If a run restores a copy and is then killed, it resumes from the saved state, but
    its copies are made at other batches than those of the unbroken run.

    Args:
        every: batches between copies.
        factor: factor of the learning rate, between 0 and 1.
        limit: the largest number of restores without a new copy between them.

    Raises:
        FloatingPointError: `limit` is exceeded (the weights are those of the last
            copy), or there was no good batch before.

    Example:
        >>> from stablevid_tf.training import NonFiniteGuard
        >>> model.fit(clips, callbacks=[NonFiniteGuard()])       # doctest: +SKIP
    """

    def __init__(self, every: int = 100, factor: float = 0.5, limit: int = 8) -> None:
        super().__init__()
        for name, value in (("every", every), ("limit", limit)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"{name} must be a positive integer. Received: {value!r}"
                )
        if not 0 < factor < 1:
            raise ValueError(
                "factor, by which the rate is multiplied, must be between 0 and 1. "
                f"Received: {factor!r}"
            )
        self.every = every
        self.factor = factor
        self.limit = limit
        self.returns = 0
        self._finite = backend.compile(_all_finite)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._copy = None
        self._in_a_row = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        # Not as training begins: weights may still be loaded then.
        if self._copy is None and self.model.built:
            if not self.model.optimizer.built:
                self.model.optimizer.build(self.model.trainable_variables)
            self._keep()

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
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
        """All variables but the learning rate, which a restore lowers."""
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
        problem = f"Epoch {self._epoch + 1}, batch {batch + 1}: {what}"
        if self._copy is None:
            raise FloatingPointError(
                f"{problem}, before any good batch. Check the data and the initial "
                "weights."
            )
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
                f"{problem}, for the {self._in_a_row}th time in a row. The weights are "
                "the last good ones. Train with a lower rate or with clipped "
                "gradients, and check the data for values that are not finite."
            )
        lower(self.model, self.factor)
        self._good = 0
        warnings.warn(
            f"{problem}. The last good weights are restored, and the learning rate is "
            f"lowered to {float(self.model.optimizer.learning_rate):.3g}",
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
