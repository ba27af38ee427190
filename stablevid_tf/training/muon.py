from typing import Any

import keras
from keras import ops

# Newton-Schulz: x <- a x + (b x x^T + c (x x^T)^2) x, Jordan et al.'s coefficients.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
# The root mean square of an Adam step, in units of the rate (Liu et al.).
_ADAM_SIZE = 0.2
_ADAM_BETAS = (0.9, 0.999)
# Kernels with fewer inputs or outputs than this are trained by Adam.
_LEAST = 13


@keras.saving.register_keras_serializable(package="stablevid_tf")
class Muon(keras.optimizers.Optimizer):
    """Muon for the kernels of convolutions: orthogonalised momentum.

    ```
    M(t) = mu M(t-1) + G(t);    O = orthogonal(G(t) + mu M(t))
    W <- W - rate 0.2 sqrt(max(rows, columns)) O
    ```

    A kernel is taken as a matrix of `height width inputs` rows and `outputs` columns;
    `orthogonal` sets its singular values to about 1 (0.7 to 1.2, by five steps of a
    Newton-Schulz iteration). Every direction of a kernel therefore moves at the same
    speed, however small its gradient. `benchmarks/training_trials.py` compares it with
    Adam.

    Biases, and kernels with fewer than 13 inputs or outputs (a network's first and
    last layer), are trained by Adam at the same rate.

    Sources: Jordan et al., "Muon: An optimizer for hidden layers in neural networks",
    2024; the factor 0.2 sqrt(max) of Liu et al., "Muon is Scalable for LLM Training",
    2025, with which rates of Adam suit Muon. `keras.optimizers.Muon` takes matrices
    only.

    Args:
        learning_rate: a number or a schedule; 3e-3 with a cosine suits `memory_unet`.
        momentum: `mu`.
        **kwargs: of `keras.optimizers.Optimizer`, such as `use_ema`.

    Example:
        >>> from stablevid_tf import models
        >>> from stablevid_tf.training import Muon
        >>> model = models.build("vresnet_feat", features=16, blocks=1)
        >>> model.compile(Muon(3e-3), "mse")
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 3e-3,
        momentum: float = 0.95,
        name: str = "muon",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = momentum

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        add = self.add_variable_from_reference
        self.momentums = [add(v, "momentum") for v in variables]
        self.squares = [
            None if _is_hidden_kernel(v) else add(v, "square") for v in variables
        ]

    def update_step(
        self, gradient: Any, variable: keras.Variable, learning_rate: Any
    ) -> None:
        at = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        if self.squares[at] is None:
            momentum = self.momentums[at]
            self.assign(momentum, self.momentum * momentum + gradient)
            ahead = gradient + self.momentum * momentum
            columns = variable.shape[-1]
            rows = variable.shape[0] * variable.shape[1] * variable.shape[2]
            step = orthogonal(ops.reshape(ahead, (rows, columns)))
            size = _ADAM_SIZE * max(rows, columns) ** 0.5
            step = size * ops.reshape(step, variable.shape)
        else:
            step = self._adam(gradient, self.momentums[at], self.squares[at])
        self.assign_sub(variable, rate * step)

    def _adam(self, gradient, mean, square):
        first, second = _ADAM_BETAS
        time = ops.cast(self.iterations + 1, gradient.dtype)
        self.assign(mean, first * mean + (1 - first) * gradient)
        self.assign(square, second * square + (1 - second) * ops.square(gradient))
        unbiased = ops.sqrt(square / (1 - ops.power(second, time)))
        return mean / (1 - ops.power(first, time)) / (unbiased + 1e-7)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"momentum": self.momentum}


def orthogonal(x):
    """A matrix with the singular vectors of `x`, and singular values of 0.7 to 1.2.

    Those of `x` that are below a thousandth of its Frobenius norm come out smaller.
    """
    a, b, c = _QUINTIC
    wide = x.shape[0] > x.shape[1]
    x = ops.transpose(x) if wide else x
    x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return ops.transpose(x) if wide else x


def _is_hidden_kernel(variable):
    shape = variable.shape
    return len(shape) == 4 and min(shape[2:]) >= _LEAST
