"""Training that is stopped goes on and ends where the unbroken run ends.

Tested: stops between epochs; what is left on disk; files of other models, damaged ones,
and ones that are no resume file; Keras' own callbacks.
Not tested: SIGKILL, which test_robust.py sends.
"""

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from stablevid_tf import cells, metrics, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.data import ClipDataset
from stablevid_tf.losses import Charbonnier
from stablevid_tf.training import Resume


@pytest.fixture
def videos(tmp_path):
    """Two folders of eight frames."""
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for t in range(8):
            image = random.integers(0, 256, (16, 20, 3), dtype="uint8")
            Image.fromarray(image).save(tmp_path / "videos" / name / f"{t}.png")
    return tmp_path / "videos"


def weights_in(folder):
    with h5py.File(folder / "resume.weights.h5", "r") as file:
        found = {"epoch": file.attrs["epoch"]}
        file.visititems(
            lambda name, node: (
                found.update({name: node[()]}) if hasattr(node, "dtype") else None
            )
        )
    return found


def assert_equal(a, b):
    assert a.keys() == b.keys()
    assert len(a) > 10
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def compiled(features=4, optimizer="adam"):
    keras.utils.set_random_seed(0)
    model = models.build("vresnet_feat", features=features, blocks=1)
    model.compile(
        optimizer, Charbonnier(), metrics=[metrics.PSNR("last")], jit_compile=False
    )
    return model


def clip():
    return np.random.default_rng(0).random((4, 2, 8, 8, 3), dtype="float32")


def fit(model, *callbacks, epochs=2, **kwargs):
    return model.fit(
        clip(),
        1 - clip(),
        batch_size=2,
        epochs=epochs,
        shuffle=False,
        callbacks=list(callbacks),
        verbose=0,
        **kwargs,
    )


def test_stopped_between_epochs_and_gone_on(tmp_path):
    whole = compiled()
    fit(whole, Resume(tmp_path / "whole"), epochs=4)
    fit(compiled(), Resume(tmp_path / "parts"), epochs=1)
    fit(compiled(), Resume(tmp_path / "parts"), epochs=3)
    last = compiled()
    history = fit(last, Resume(tmp_path / "parts"), epochs=4)
    assert history.epoch == [3]
    for a, b in zip(last.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_equal(weights_in(tmp_path / "parts"), weights_in(tmp_path / "whole"))
    # One file, nothing half-written beside it.
    assert [p.name for p in (tmp_path / "parts").iterdir()] == ["resume.weights.h5"]


def test_a_model_made_of_a_cell_can_be_resumed(tmp_path):
    model = models.RecurrentRestorer(cells.FeatCell(features=3, stages=1))
    model.compile("adam", "mse", jit_compile=False)
    fit(model, Resume(tmp_path, every=1))
    first = models.RecurrentRestorer(cells.FeatCell(features=3, stages=1))
    first.compile("adam", "mse", jit_compile=False)
    assert fit(first, Resume(tmp_path)).epoch == []
    for a, b in zip(model.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_model_without_weights_is_refused(tmp_path):
    class Unbuilt(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    model = Unbuilt()
    model.compile("adam", "mse", jit_compile=False)
    with pytest.raises(ValueError, match="no weights yet"):
        fit(model, Resume(tmp_path))


def test_a_finished_run_trains_no_more(tmp_path):
    model = compiled()
    fit(model, Resume(tmp_path))
    before = model.get_weights()
    assert fit(model, Resume(tmp_path)).epoch == []
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_later_fit_of_its_own_starts_at_its_first_epoch(tmp_path):
    fit(compiled(), Resume(tmp_path), epochs=2)
    model = compiled()
    fit(model, Resume(tmp_path), epochs=3)
    # Without the callback it is an ordinary model again.
    assert fit(model, epochs=2).epoch == [0, 1]


def test_the_dataset_is_told_the_epoch(tmp_path):
    class Counted:
        epoch = 17

    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_, **__: seen.append(Counted.epoch)
    )
    fit(compiled(), Resume(tmp_path, Counted), watch, epochs=2)
    fit(compiled(), Resume(tmp_path, Counted), watch, epochs=4)
    assert seen == [0, 1, 2, 3]


def other_width(path):
    fit(compiled(8), Resume(path), epochs=1)


def no_constraint_to_constraint(path):
    model = models.build(
        "vresnet_feat", features=4, blocks=1, constraint=SRNC(1.0, frame_size=8)
    )
    model.compile("adam", "mse", jit_compile=False)
    fit(model, Resume(path), epochs=1)


def truncated(path):
    fit(compiled(), Resume(path), epochs=1)
    file = path / "resume.weights.h5"
    file.write_bytes(file.read_bytes()[:3000])


def no_hdf5(path):
    path.mkdir()
    (path / "resume.weights.h5").write_text("not this")


def weights_alone(path):
    path.mkdir()
    model = compiled()
    fit(model, epochs=1)
    model.save_weights(path / "resume.weights.h5")


def other_optimizer(path):
    fit(compiled(optimizer="sgd"), Resume(path), epochs=1)


@pytest.mark.parametrize(
    "make",
    [
        other_width,
        no_constraint_to_constraint,
        truncated,
        no_hdf5,
        weights_alone,
        other_optimizer,
    ],
)
def test_a_wrong_file_is_refused_and_kept(tmp_path, make):
    folder = tmp_path / "run"
    make(folder)
    before = (folder / "resume.weights.h5").read_bytes()
    with pytest.raises(ValueError, match=r"cannot be resumed.*another folder"):
        fit(compiled(), Resume(folder), epochs=2)
    assert (folder / "resume.weights.h5").read_bytes() == before


def test_keras_own_callbacks(tmp_path, videos):
    clips = ClipDataset(videos, frames=2, size=12, batch_size=2, steps=2, workers=2)
    model = compiled()
    history = model.fit(
        clips,
        validation_data=clips,
        epochs=2,
        verbose=0,
        callbacks=[
            keras.callbacks.BackupAndRestore(tmp_path / "backup"),
            keras.callbacks.ModelCheckpoint(
                tmp_path / "best.keras", monitor="val_psnr_last", mode="max"
            ),
            keras.callbacks.ModelCheckpoint(
                tmp_path / "{epoch}.weights.h5", save_weights_only=True
            ),
            keras.callbacks.TensorBoard(tmp_path / "logs", histogram_freq=1),
            Resume(tmp_path / "run", clips),
        ],
    )
    assert set(history.history) == {"loss", "psnr_last", "val_loss", "val_psnr_last"}
    assert np.isfinite(list(history.history.values())).all()
    assert {p.name for p in tmp_path.glob("*.weights.h5")} == {
        "1.weights.h5",
        "2.weights.h5",
    }
    assert list((tmp_path / "logs" / "train").iterdir())
    loaded = keras.models.load_model(tmp_path / "best.keras")
    assert loaded.name == model.name


@pytest.mark.large
def test_backup_and_restore_goes_on(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    backup = lambda: keras.callbacks.BackupAndRestore(tmp_path / "backup")  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        fit(compiled(), backup(), Stop(), epochs=4)
    model = compiled()
    assert fit(model, backup(), epochs=4).epoch == [2, 3]
    whole = compiled()
    fit(whole, epochs=4)
    for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
