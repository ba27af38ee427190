import os
import random
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import ops

from stablevid_tf.training.lowered_rate import lower, schedule_factor
from stablevid_tf.training.replaced import replaced


class Resume(keras.callbacks.Callback):
    """Save the whole state of a run, and resume from it.

    After each epoch a file gets the weights, the optimiser's state (with its moving
    averages if it has `use_ema`) and the epoch. With `every`, a second file gets them
    after every `every` batches, with the batch and the metrics so far. A file appears
    under its name only when complete: a run that is killed at any moment resumes from
    its last save, sees the same batches again, and ends as the unbroken run does (bit
    for bit on one device).

    In the middle of an epoch, the batches before the save are read again and skipped,
    so a batch of the dataset must depend on its epoch and index alone, as in the
    datasets of `stablevid_tf`. The states of `training.PIBPTT` are made again with the
    weights from the beginning of the epoch.

    At the start of an epoch, Python's `random` is seeded with the epoch's number,
    because it decides the order in which Keras reads the batches.

    Keras' `BackupAndRestore` works too, but does not restore the epoch of the data, and
    writes two files that may not match after a kill.

    Args:
        folder: for `resume.weights.h5` and `resume_step.weights.h5`; created if it does
            not exist.
        dataset: the `data.ClipDataset` that is fitted (or any object with an `epoch`),
            or None.
        every: also save after every so many batches. Default: only after epochs.

    Raises:
        ValueError: the file belongs to another model or optimiser, or is damaged; the
            model has no weights yet.
        OSError: a file cannot be written, for example on a full disk; the last save is
            still complete.

    Example:
        >>> from stablevid_tf.training import Resume
        >>> model.fit(clips, epochs=50,                          # doctest: +SKIP
        ...           callbacks=[Resume("run", clips, every=200)])
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        dataset: Any = None,
        every: int | None = None,
    ) -> None:
        super().__init__()
        if every is not None and (not isinstance(every, int) or every < 1):
            raise ValueError(
                "every must be a positive number of batches, or None to save only "
                f"after epochs. Received: {every!r}"
            )
        self.path = Path(folder) / "resume.weights.h5"
        self.step_path = Path(folder) / "resume_step.weights.h5"
        self.dataset = dataset
        self.every = every

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._done, self._metrics = 0, []
        if not self.model.built:
            raise ValueError(
                "The model has no weights yet, so nothing can be saved or restored. "
                "Call it on a batch before fit, or build it with its input shape."
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        if not self.path.exists():
            if self.every is not None:
                self._save(self.path, 0)
            return
        epoch = self._load(self.path)
        # As keras.callbacks.BackupAndRestore does.
        self.model._initial_epoch = epoch
        if self._epoch_in(self.step_path) == epoch:
            if hasattr(self.dataset, "prepare"):
                # It may need the weights that the epoch began with.
                self.dataset.epoch = epoch
                self.dataset.prepare()
            self._load(self.step_path)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # Keras shuffles the order of batches with Python's own generator.
        random.seed(epoch)
        self._epoch = epoch
        if self.dataset is not None:
            self.dataset.epoch = epoch
        self._saved = self._done
        if self._done:
            self._pass_over(self._done)
            self._done = 0

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if self.every is not None and batch + 1 - self._saved >= self.every:
            self._saved = batch + 1
            self._save(self.step_path, self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._save(self.path, epoch + 1)
        self.step_path.unlink(missing_ok=True)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.model._initial_epoch = None

    def _pass_over(self, count):
        """Make the model's next steps read batches and skip them."""
        model, train = self.model, self.model.train_function
        per_step = model.steps_per_execution
        left = -(-count // per_step)

        def passed(*given):
            nonlocal left
            *state, batches = given
            if not isinstance(batches, list):
                batches = [next(batches) for _ in range(per_step)]
            left -= 1
            if not left:
                if len(model.metrics_variables) != len(self._metrics):
                    # Keras makes them with the first step otherwise.
                    model._symbolic_build(data_batch=batches[0])
                for variable, value in zip(
                    model.metrics_variables, self._metrics, strict=True
                ):
                    variable.assign(value)
                model.train_function = train
            # On JAX a step takes and gives the training's state.
            return ({}, *state) if state else {}

        model.train_function = passed

    def _epoch_in(self, path):
        """The epoch that a file was saved in, or None."""
        try:
            with h5py.File(path, "r") as file:
                return int(file.attrs["epoch"])
        except (KeyError, OSError):
            return None

    def _load(self, path):
        """Restore the state in a file; return its epoch."""
        wrong = ValueError(
            f"{path} cannot be resumed: it belongs to another model or optimiser, "
            "or is damaged. Give another folder, or remove the file to start again."
        )
        try:
            with h5py.File(path, "r") as file:
                epoch, optimizer = int(file.attrs["epoch"]), file.attrs["optimizer"]
                factor = float(file.attrs.get("schedule_factor", 1.0))
                self._done = int(file.attrs.get("batches", 0))
                held = file.get("metrics_so_far", {})
                self._metrics = [held[str(i)][()] for i in range(len(held))]
            if optimizer != type(self.model.optimizer).__name__:
                raise wrong
            self.model.load_weights(path)
        except (ValueError, KeyError, OSError) as error:
            raise wrong from error
        lower(self.model, factor / schedule_factor(self.model.optimizer))
        return epoch

    def _save(self, path, epoch, batches=0):
        getattr(self.model, "jax_state_sync", lambda: None)()
        held = [*self.model.variables, *self.model.optimizer.variables]
        # Beside the numbers: some 2 kB of names for each.
        room = sum(4 * int(np.prod(v.shape)) + 4096 for v in held) + 2**16
        with replaced(path, room) as partial:
            self.model.save_weights(partial, overwrite=True)
            with h5py.File(partial, "r+") as file:
                file.attrs["epoch"] = epoch
                file.attrs["optimizer"] = type(self.model.optimizer).__name__
                file.attrs["schedule_factor"] = schedule_factor(self.model.optimizer)
                if batches:
                    file.attrs["batches"] = batches
                    for i, variable in enumerate(self.model.metrics_variables):
                        value = ops.convert_to_numpy(variable)
                        file[f"metrics_so_far/{i}"] = value
