"""BPTT strategies: what a clip begins with, and what it teaches.

Tested: clips that begin with stored states against whole videos, of causal, windowed,
bidirectional, constrained, numbered and half-precision models; stored states and a
step's gradient against NumPy float64; how often and in what order videos come; when
states are made and of which weights; room in memory and on disk; carried states;
random ones; sharing out among slots; what is refused.
Not tested: what the strategies are good for (examples/bptt.py), their time
(benchmarks/bptt.py).
"""

from pathlib import Path

import keras
import numpy as np
import pytest
import witness

from stablevid_tf import cells, models, training
from stablevid_tf.constraints import SRNC
from stablevid_tf.layers.srnc_conv2d import SRNCConv2D
from stablevid_tf.training.video_pass import share_out


def videos_of(*lengths, side=14):
    random = np.random.default_rng(3)
    return [random.integers(0, 256, (n, side, side, 3), "uint8") for n in lengths]


def quarter(clean, random):
    return clean[:, ::4, ::4]


def noisy(clean, random):
    return clean + 0.1 * random.standard_normal(clean.shape, "float32")


def states_around(model, **kwargs):
    """A prepared PIBPTT of three videos of other lengths, in clips of 3 frames."""
    options = {"frames": 3, "size": 8, "batch_size": 2, "reuse": 2, "seed": 1}
    clips = training.PIBPTT(model, videos_of(5, 7, 4), **{**options, **kwargs})
    clips.prepare()
    return clips


def inner_clip(clips):
    """Index of a batch of one whose clip has frames before and behind it."""
    firsts, order = clips._drawn()
    lengths = [len(v) for v in clips.videos]
    return next(
        (i, v, firsts[v, r])
        for i, (v, r) in enumerate(order)
        if 0 < firsts[v, r] < lengths[v] - clips.frames
    )


SMALL = {"features": 3, "blocks": 1}
MODELS = {
    "vresnet_feat": SMALL,
    "vresnet_rlsp_mf3": SMALL | {"frame_number": 4, "scale": 2},
    "frvsr": SMALL | {"flow_features": 2, "scale": 1},
    "rlsp": {"features": 8},
    "lstm_irm": {"features": 2},
    "vresnet_birlsp_mf3": SMALL | {"frame_number": 6},
    "basicvsr": SMALL | {"levels": 1, "frame_number": 6},
}
# Frames that only flows see, and flows of untrained networks are small.
UNSEEN = {("basicvsr", 1), ("basicvsr", 4), ("frvsr", 0)}


def louder(model):
    """Weights as large as it takes for states to matter."""
    random = np.random.default_rng(1)
    for variable in model.trainable_variables:
        fan_in = np.prod(variable.shape[:-1])
        variable.assign(random.normal(size=variable.shape) / fan_in**0.5)


@pytest.mark.parametrize("name", MODELS)
def test_clips_go_on_as_whole_videos_do(name):
    """A clip from stored states = its frames in the video restored as a whole."""
    model = models.build(name, **MODELS[name])
    small = {1: noisy, 2: lambda c, r: c[:, ::2, ::2], 4: quarter}[model.scale]
    model.build()
    louder(model)
    size = 8 if model.scale < 4 else 12
    clips = states_around(model, degrade=small, size=size, reuse=3, batch_size=1)
    index, v, t = inner_clip(clips)
    seen, clean = clips[index]
    found = np.asarray(model(seen))
    assert found.shape == clean.shape
    truth, whole = clips.play(v)
    np.testing.assert_array_equal(clean[0], truth[t : t + 3])
    wanted = np.asarray(model(whole[None]))[:, t : t + 3]
    # Float32, batched otherwise.
    np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())
    # Without any one of the states they would be other frames (RLSP: in 255ths).
    for i, leaf in enumerate(seen["state"]):
        if leaf.dtype.kind == "f" and (name, i) not in UNSEEN:
            state = [*seen["state"]]
            state[i] = np.zeros_like(leaf)
            other = np.asarray(model({**seen, "state": tuple(state)}))
            assert np.abs(other - found).max() > 5e-5, i


def test_states_and_gradient_against_numpy():
    model = models.build("vresnet_feat_mf3", features=3, blocks=2)
    model.build()
    louder(model)
    clips = states_around(model, degrade=noisy, batch_size=1, reuse=3)
    (index, v, t), held = inner_clip(clips), weights(model.cell)
    clean, seen = (a.astype("float64")[None] for a in clips.play(v))

    # A straight pass over the video, up to the frame before the clip.
    shown, state = witness.windows(seen, 3), None
    for i in range(t):
        state = witness.step("feat", held, shown[:, i], state)[1]
    given, target = clips[index]
    for stored, true in zip(given["state"], state, strict=True):
        # Float32 through eight convolutions a frame.
        np.testing.assert_allclose(stored, true, atol=1e-5)

    def loss(change):
        moved, h, total = _moved(held, change), state, 0.0
        for i in range(t, t + 3):
            out, h = witness.step("feat", moved, shown[:, i], h)
            total += np.mean((out - clean[:, i]) ** 2) / 3
        return total

    # One step of plain descent at rate 1 moves by the gradient.
    before = [w.numpy() for w in model.trainable_variables]
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    found = model.train_on_batch(given, target)
    assert found == pytest.approx(loss(0 * np.zeros(1)), rel=1e-5)
    gradient = [
        a - w.numpy() for a, w in zip(before, model.trainable_variables, strict=True)
    ]
    random = np.random.default_rng(0)
    for _ in range(3):
        way = [random.normal(size=a.shape) for a in before]
        named = {id_of(a): d for a, d in zip(before, way, strict=True)}
        step = 1e-6
        slope = (loss((named, step)) - loss((named, -step))) / (2 * step)
        product = sum(np.sum(g * d) for g, d in zip(gradient, way, strict=True))
        # Float32 gradient, taken as a difference of weights of order one.
        assert product == pytest.approx(slope, rel=2e-3, abs=2e-5)


def weights(cell):
    """The cell's kernels and biases, as the witness takes them."""
    pair = lambda conv: (conv.kernel.numpy(), conv.bias.numpy())  # noqa: E731
    body = [[pair(c) for c in stage.convs] for stage in cell.body]
    return {"head": pair(cell.head), "body": body, "tail": pair(cell.tail)}


def id_of(array):
    return array.astype("float64").tobytes()


def _moved(held, change):
    """The witness's weights moved along a direction given per array."""
    if not isinstance(change, tuple):
        return held
    named, step = change

    def moved(pair):
        return tuple(a + step * named[id_of(a)] for a in pair)

    return {
        "head": moved(held["head"]),
        "tail": moved(held["tail"]),
        "body": [[moved(p) for p in stage] for stage in held["body"]],
    }


@pytest.fixture(scope="module")
def model():
    return models.build("vresnet_rlsp", **SMALL)


def test_every_video_comes_reuse_times(model):
    clips = states_around(model, reuse=4, batch_size=3)
    assert len(clips) == 4
    firsts, order = clips._drawn()
    assert sorted(order) == [(v, r) for v in range(3) for r in range(4)]
    for r in range(4):
        assert sorted(v for v, _ in order[3 * r : 3 * r + 3]) == [0, 1, 2]
    for v, length in enumerate((5, 7, 4)):
        assert firsts[v].min() >= 0 and firsts[v].max() <= length - 3
    cost = clips.cost
    # 8 x 8 x (3 features) float32 a state; frames of 5 + 7 + 4 times 8 x 8 x 3.
    assert cost["states"] == 12
    assert (
        cost["bytes_in_memory"] == 4 * 64 * 3 * (12 + 16) and not cost["bytes_on_disk"]
    )
    # No frame behind the last state is gone through; slots are as long as the longest.
    assert cost["forward_frames"] == 3 * firsts.max()
    assert cost["step"] == 1 + cost["forward_frames"] / (3 * 3 * 12)


def test_all_places_are_drawn(model):
    clips = training.PIBPTT(
        model, videos_of(7), frames=3, size=8, batch_size=1, reuse=200
    )
    counts = np.bincount(clips._drawn()[0][0], minlength=5)
    # 200 draws from 5 places: 40 each, five standard deviations.
    assert len(counts) == 5 and np.all(np.abs(counts - 40) < 29)


def test_batches_are_functions_of_seed_epoch_and_index(model):
    def batch(seed, epoch, index):
        clips = training.PIBPTT(
            model, videos_of(5, 7), frames=3, size=8, batch_size=2, seed=seed
        )
        clips.epoch = epoch
        clips.prepare()
        return keras.tree.flatten(clips[index])

    a = batch(1, 2, 3)
    for x, y in zip(a, batch(1, 2, 3), strict=True):
        np.testing.assert_array_equal(x, y)
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert any(np.any(x != y) for x, y in zip(a, batch(*other), strict=True))


def test_states_are_made_once_an_epoch_of_the_weights_as_they_are(monkeypatch):
    model = models.build("vresnet_rlsp", **SMALL)
    clips = training.PIBPTT(model, videos_of(5, 7), frames=3, size=8, batch_size=2)
    made = []
    prepare = clips.prepare
    monkeypatch.setattr(
        clips,
        "prepare",
        lambda: made.append(model.cell.head.kernel.numpy()) or prepare(),
    )
    ends = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_, **__: ends.append(model.cell.head.kernel.numpy())
    )
    model.compile(keras.optimizers.Adam(1e-2), "mse", run_eagerly=True)
    model.fit(clips, epochs=2, verbose=0, callbacks=[watch])
    assert len(made) == 2
    for a, b in zip(made, ends, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.any(made[0] != made[1])


def test_states_on_disk_and_as_float16(model, tmp_path):
    full, disk = states_around(model), states_around(model, memory=0, folder=tmp_path)
    half = states_around(model, dtype="float16")
    assert disk.cost["bytes_on_disk"] == full.cost["bytes_in_memory"]
    assert disk.cost["bytes_in_memory"] == 0
    assert (
        sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file())
        == (disk.cost["bytes_on_disk"])
    )
    for a, b, c in zip(full, disk, half, strict=False):
        for x, y, z in zip(*map(keras.tree.flatten, (a, b, c)), strict=True):
            np.testing.assert_array_equal(x, y)
            # 11 bits.
            np.testing.assert_allclose(z, x, rtol=2**-11, atol=1e-7)
    assert half[0][0]["state"][0].dtype == np.float16
    del disk
    assert not any(f.is_file() for f in tmp_path.rglob("*"))


def test_float16_has_a_largest_number(model):
    clips = states_around(model, dtype="float16", degrade=lambda c, r: 1e6 * c)
    states = clips._kept[0]
    assert np.all(np.isfinite(states)) and states.max() == np.finfo("float16").max


def test_mixed_precision(model):
    half = models.build("vresnet_rlsp", **SMALL, dtype="mixed_bfloat16")
    half.build()
    half.set_weights(model.get_weights())
    a, b = states_around(half), states_around(model)
    (seen, _), (wanted, _) = a[0], b[0]
    assert seen["state"][0].dtype == np.float32
    # 8 bits, through four convolutions a frame.
    np.testing.assert_allclose(
        seen["state"][0], wanted["state"][0], atol=0.05 * wanted["state"][0].max()
    )
    assert keras.backend.standardize_dtype(half.taken(seen)[1][0][0].dtype) == (
        "bfloat16"
    )


def test_effective_kernels_are_computed_once_a_pass(monkeypatch):
    rule = SRNC(1.0, where="body", frame_size=8)
    model = models.build("vdncnn_feat", features=3, depth=1, constraint=rule)
    calls = []
    plain = SRNCConv2D.effective_kernel
    monkeypatch.setattr(
        SRNCConv2D, "effective_kernel", lambda self: calls.append(1) or plain(self)
    )
    clips = states_around(model, batch_size=1, reuse=3)
    # One convolution is constrained; five frames and more went forward.
    assert len(calls) == 1 and clips.cost["forward_frames"] >= 5
    index, v, t = inner_clip(clips)
    wanted = np.asarray(model(clips.play(v)[1][None]))[:, t : t + 3]
    # Vectors that an eager and a compiled call find, in float32.
    np.testing.assert_allclose(model(clips[index][0]), wanted, atol=1e-4)
    # Another epoch's pass takes the weights as they are then.
    model.cell.body[0].convs[0].adopt(np.zeros((3, 3, 6, 3), "float32"))
    clips.epoch = 1
    clips.prepare()
    assert not np.any(clips._kept[0])


def test_carried_states_go_on():
    model = models.build("vresnet_rlsp_mf3", **SMALL, frame_number=7)
    videos = videos_of(6, 9, 7)
    clips = training.TBPTT(
        model, videos, frames=3, size=8, batch_size=2, degrade=noisy, seed=4
    )
    assert len(clips) == 3  # 2 + 3 + 2 clips, two at a time
    trainer = training.CarryState(model, batch_size=2, size=8)
    # A rate of zero: the weights stay, and the state is that of one long clip.
    trainer.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    carried = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: carried.append(
            [w.numpy() for w in trainer.carried]
        )
    )
    trainer.fit(clips, epochs=1, verbose=0, callbacks=[watch])
    clips.epoch -= 1
    places = clips._places()
    for slot in range(2):
        runs = places[3 * slot : 3 * slot + 3]
        state = None
        for index, (v, first) in enumerate(runs):
            _, seen = clips.play(v)
            if first == 0 or state is None:
                state = model.cell.start(seen[None, 0], first)
            _, state = cells.unroll(
                model.cell, clips.margined(seen, first)[None], state, margins=True
            )
            for a, b in zip(carried[index], keras.tree.flatten(state), strict=True):
                np.testing.assert_allclose(a[slot], b[0], atol=1e-6)
    # Every clip once, and all weights but the state's are the model's.
    assert len({p for p in places}) == 7
    assert len(trainer.trainable_variables) == len(model.trainable_variables)
    # Plain frames are restored as by the model itself.
    whole = np.stack([clips.play(v)[1][:5] for v in (0, 1)])
    np.testing.assert_array_equal(trainer(whole), model(whole))


def test_no_gradient_reaches_an_earlier_batch():
    model = models.build("vresnet_rlsp", **SMALL)
    clips = training.TBPTT(model, videos_of(6), frames=3, size=8, batch_size=1)
    trainer = training.CarryState(model, batch_size=1, size=8)
    trainer.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    trainer.train_on_batch(*clips[0])
    trainer.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    state = tuple(w.numpy() for w in trainer.carried)
    before = [w.numpy() for w in model.trainable_variables]
    trainer.train_on_batch(*clips[1])
    moved = [w.numpy() for w in model.trainable_variables]
    # The same clip with that state as plain numbers.
    for weight, value in zip(model.trainable_variables, before, strict=True):
        weight.assign(value)
    model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
    given, target = clips[1]
    model.train_on_batch({"frames": given["frames"], "state": state}, target)
    for a, b in zip(moved, model.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    assert any(np.any(a != b) for a, b in zip(before, moved, strict=True))


def test_auxiliary_pictures_of_clips_out_of_videos():
    model = models.build("dbdnet", features=3, frame_number=4)
    clips = states_around(model)
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    seen, clean = clips[0]
    _, states = model.taken(seen)
    numbers = states[0]["number"]
    pictures = model.cell.auxiliary(seen["frames"], numbers)
    both = [np.mean((np.asarray(p) - clean) ** 2) for p in (pictures, model(seen))]
    assert model.train_on_batch(seen, clean) == pytest.approx(np.mean(both), rel=1e-5)
    trainer = training.CarryState(model, batch_size=2, size=8)
    trainer.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    given = {"frames": seen["frames"], "first": np.array([True, True])}
    given["number"] = np.zeros(2, "int32")
    assert np.isfinite(trainer.train_on_batch(given, clean))


def test_random_initial_states(model):
    options = {"frames": 3, "size": 8, "batch_size": 4, "steps": 2}
    zero = training.RandomInit(model, videos_of(5, 7), **options)
    assert len(zero) == 2
    seen, clean = zero[0]
    assert seen["state"][0].shape == (4, 8, 8, 3) and not np.any(seen["state"][0])
    np.testing.assert_array_equal(seen["frames"], clean)
    # From zeros a clip is a video of its own.
    np.testing.assert_allclose(model(seen), model(clean), atol=1e-6)
    drawn = training.RandomInit(model, videos_of(5, 7), deviation=2.0, **options)
    state = drawn[1][0]["state"][0]
    # 768 numbers: the deviation within five of its standard errors.
    assert abs(state.std() / 2 - 1) < 5 / np.sqrt(2 * 768) and state.dtype == "float32"
    np.testing.assert_array_equal(state, drawn[1][0]["state"][0])
    numbered = models.build("vresnet_rlsp_mf3", **SMALL, frame_number=3)
    given = training.RandomInit(numbered, videos_of(5), deviation=1.0, **options)[0][0]
    counters = [leaf for leaf in given["state"] if leaf.dtype.kind == "i"]
    assert len(counters) == 1 and not counters[0].any()
    # A window of three: the clip's own edges repeated.
    np.testing.assert_array_equal(given["frames"][:, 0], given["frames"][:, 1])
    assert given["frames"].shape[1] == 5


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_sharing_out(slots):
    lengths = [3, 0, 9, 4, 4, 1]
    shares = share_out(lengths, slots)
    assert sorted(v for share in shares for v in share) == [0, 2, 3, 4, 5]
    loads = [sum(lengths[v] for v in share) for share in shares]
    assert max(loads) == {1: 21, 2: 11, 5: 9}[slots]


def test_a_video_folder_is_taken(model, tmp_path):
    from stablevid_tf.data import ImageWriter

    for name, video in zip("ab", videos_of(4, 2), strict=True):
        with ImageWriter(tmp_path / name) as out:
            for t, image in enumerate(video):
                out.write(image, t)
    with pytest.warns(UserWarning, match="1 of 2 videos are left out"):
        clips = training.PIBPTT(model, tmp_path, frames=3, size=8, batch_size=1)
    np.testing.assert_array_equal(clips.videos[0], videos_of(4)[0])
    path = Path(clips._source._temporary.name)
    assert path.exists()


@pytest.mark.parametrize(
    "name, strategy, change, words",
    [
        ("vresnet_rlsp", "PIBPTT", {"reuse": 0}, "reuse"),
        ("vresnet_rlsp", "PIBPTT", {"dtype": "int8"}, "float16.*int8"),
        ("vresnet_rlsp", "PIBPTT", {"memory": -1}, "memory.*-1"),
        ("vresnet_rlsp", "PIBPTT", {"batch_size": 9, "reuse": 2}, "less than a batch"),
        ("vresnet_rlsp", "PIBPTT", {"size": 20}, "None of 2 videos"),
        ("vresnet_rlsp", "PIBPTT", {"frames": 8}, "None of 2 videos"),
        ("vresnet_rlsp", "PIBPTT", {"degrade": quarter}, "degrade.*Received"),
        ("rlsp", "PIBPTT", {"size": 6}, "multiple of the model's scale"),
        ("vresnet_single", "PIBPTT", {}, "carries no state"),
        ("fastdvdnet", "PIBPTT", {}, "carries no state"),
        ("vresnet_single", "RandomInit", {}, "carries no state"),
        ("vresnet_rlsp", "RandomInit", {"deviation": -1.0}, "deviation.*-1"),
        ("vresnet_rlsp", "PIBPTT", {"workers": 2}, "workers at 1.*workers=2"),
        (
            "vresnet_rlsp",
            "PIBPTT",
            {"use_multiprocessing": True},
            "states are made.*use_multiprocessing=True",
        ),
        ("vresnet_rlsp", "TBPTT", {"workers": 2}, "one batch after another.*workers=2"),
        ("vresnet_rlsp", "TBPTT", {"batch_size": 5}, "less than a batch"),
        ("vresnet_rlsp", "TBPTT", {"videos": [np.zeros((5, 8, 8))]}, r"arrays \[time"),
    ],
)
def test_refused(name, strategy, change, words):
    model = models.build(name)
    options = {"videos": videos_of(5, 7), "frames": 3, "size": 8, "batch_size": 2}
    with pytest.raises(ValueError, match=words):
        made = getattr(training, strategy)(model, **{**options, **change})
        made[0]


def test_carrying_is_refused(model):
    both = models.build("vresnet_birlsp", **SMALL)
    with pytest.raises(ValueError, match=r"both ways.*PIBPTT"):
        training.CarryState(both, 2, 8)
    with pytest.raises(ValueError, match="carries no state"):
        training.CarryState(models.build("vresnet_single", **SMALL), 2, 8)
    trainer = training.CarryState(model, 2, 8)
    with pytest.raises(ValueError, match="in order"):
        trainer.fit(None, shuffle=True)
