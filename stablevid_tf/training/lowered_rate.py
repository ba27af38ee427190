import keras


@keras.saving.register_keras_serializable(package="stablevid_tf")
class LoweredRate(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule multiplied by a factor: `rate(step) = factor * schedule(step)`.

    Args:
        schedule: a `keras.optimizers.schedules.LearningRateSchedule`.
        factor: positive.

    Example:
        >>> import keras
        >>> from stablevid_tf.training.lowered_rate import LoweredRate
        >>> rate = LoweredRate(keras.optimizers.schedules.CosineDecay(0.5, 10), 0.5)
        >>> float(rate(0))
        0.25
    """

    def __init__(self, schedule, factor):
        super().__init__()
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        self.schedule = schedule
        self.factor = float(factor)

    def __call__(self, step):
        return self.schedule(step) * self.factor

    def get_config(self):
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "factor": self.factor}


def schedule_factor(optimizer):
    """The factor by which an optimiser's schedule was lowered; 1 if it was not."""
    rate = _inner(optimizer)._learning_rate
    return rate.factor if isinstance(rate, LoweredRate) else 1.0


def lower(model, factor):
    """Multiply the learning rate of a model's optimiser, also if it is a schedule.

    Args:
        model: a compiled model.
        factor: positive; 1 changes nothing.
    """
    optimizer = _inner(model.optimizer)
    rate = optimizer._learning_rate
    if factor == 1:
        return
    if isinstance(rate, keras.Variable):
        rate.assign(float(rate) * factor)
        return
    if isinstance(rate, LoweredRate):
        rate, factor = rate.schedule, factor * rate.factor
    optimizer.learning_rate = LoweredRate(rate, factor)
    # The compiled step holds the old schedule.
    model.make_train_function(force=True)


def rate_variable(optimizer):
    """The variable that holds an optimiser's learning rate; None for a schedule."""
    rate = _inner(optimizer)._learning_rate
    return rate if isinstance(rate, keras.Variable) else None


def _inner(optimizer):
    # keras.optimizers.LossScaleOptimizer wraps another.
    return getattr(optimizer, "inner_optimizer", optimizer)
