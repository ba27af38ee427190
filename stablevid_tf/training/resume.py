import os
import random
from pathlib import Path

import h5py
import keras


class Resume(keras.callbacks.Callback):
    """Keep a run's whole state after each epoch, and go on from it.

    One file holds the weights, the optimiser's state and the epoch, and appears under
    its name only when complete: a run killed at any moment goes on from its last
    whole epoch, sees the same batches again, and ends where the unbroken run ends
    (bit for bit on one device).

    Python's ``random`` is seeded with the epoch's number at its start, for the order
    in which Keras takes the batches.

    Keras' ``BackupAndRestore`` works too, but knows nothing of the data's epoch and
    writes two files that a kill can leave apart.

    Args:
        folder: for ``resume.weights.h5``; made where it does not exist.
        dataset: the :class:`stablevid_tf.data.ClipDataset` being fitted (anything
            with an ``epoch``), or None.

    Raises:
        ValueError: the file belongs to another model or optimiser, or is damaged.

    Example:
        >>> from stablevid_tf.training import Resume
        >>> model.fit(clips, epochs=50,                          # doctest: +SKIP
        ...           callbacks=[Resume("run", clips)])
    """

    def __init__(self, folder, dataset=None):
        super().__init__()
        self.path = Path(folder) / "resume.weights.h5"
        self.dataset = dataset

    def on_train_begin(self, logs=None):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            return
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        wrong = ValueError(
            f"{self.path} cannot be resumed: it belongs to another model or optimiser, "
            "or is damaged. Give another folder, or remove the file to start again."
        )
        try:
            with h5py.File(self.path, "r") as file:
                epoch, optimizer = int(file.attrs["epoch"]), file.attrs["optimizer"]
            if optimizer != type(self.model.optimizer).__name__:
                raise wrong
            self.model.load_weights(self.path)
        except (ValueError, KeyError, OSError) as error:
            raise wrong from error
        # As keras.callbacks.BackupAndRestore does.
        self.model._initial_epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        # Keras shuffles the order of batches with Python's own generator.
        random.seed(epoch)
        if self.dataset is not None:
            self.dataset.epoch = epoch

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None

    def on_epoch_end(self, epoch, logs=None):
        partial = self.path.with_name("partial.weights.h5")
        self.model.save_weights(partial, overwrite=True)
        with h5py.File(partial, "r+") as file:
            file.attrs["epoch"] = epoch + 1
            file.attrs["optimizer"] = type(self.model.optimizer).__name__
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, self.path)
