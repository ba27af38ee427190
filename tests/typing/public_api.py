"""Every public name with ordinary arguments, for a type checker; it is never run.

`tests/test_types.py` checks this file with mypy, and that it names everything that the
packages export.
"""

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import keras
import numpy as np

import stablevid_tf
from stablevid_tf import (
    cells,
    constraints,
    data,
    diagnostics,
    evaluation,
    hub,
    layers,
    losses,
    metrics,
    models,
    numerics,
    streaming,
    training,
    zoo,
)
from stablevid_tf.data import builders, degradations, sequences

Model = models.RecurrentRestorer | models.ClipRestorer

FRAME = np.zeros((32, 48, 3), "float32")
CLIP = np.zeros((7, 32, 48, 3), "float32")
KERNEL = np.zeros((3, 3, 8, 8), "float32")
RANDOM = np.random.default_rng(0)


def use_the_package() -> None:
    version: str = stablevid_tf.__version__
    print(version)


def use_models(folder: Path) -> None:
    held = constraints.SRNC(alpha=0.9, where="loop", frame_size=16)
    names: list[str] = models.names()
    model: Model = models.build(names[0], features=8, blocks=2, constraint=held)
    blind: Model = models.self_ensemble(models.dampened(model, factor=0.5))
    weaker: Model = models.at_strength(blind, strength=0.5)
    description: models.Description = models.describe("vresnet_feat", features=8)
    parameters: int = description.parameters
    print(parameters, weaker.channels, weaker.scale)

    cell = cells.FeatCell(features=8, stages=1)
    recurrent = models.RecurrentRestorer(cell, name="mine")
    told: models.RecurrentRestorer = models.at_noise_level(recurrent, sigma=25)
    state = told.initial_state(FRAME[None])
    restored, state = told.step(FRAME[None], state)
    folded: models.RecurrentRestorer = told.fold()
    latency: int = folded.latency
    loops: list[Any] = folded.loops()
    folded.load_public_weights({"layer1_kernel": KERNEL}).save(folder / "m.keras")
    clips = models.ClipRestorer(cells.BiRLSP(features=8, stages=1))
    whole = clips(CLIP[None], training=False)
    print(restored, latency, loops, whole)


def use_zoo(folder: Path) -> None:
    name: str = zoo.default("denoising")
    names: list[str] = zoo.names(task="denoising")
    model: Model = zoo.load(name, dtype="mixed_bfloat16")
    card: str = zoo.card(names[0])
    packed: Model = zoo.pack(folder, folder / "model.weights.h5")
    commit: str = zoo.publish(folder, "user/mine")
    pulled: Path = zoo.pull(f"hf://user/mine@{commit}", folder)
    print(model, card, packed, pulled)


def use_cells() -> None:
    blurred = cells.RDBN(features=8, blocks=2)
    for cell in (
        cells.ATB(cells.IRM(blurred)),
        cells.BasicVSR(features=8, blocks=2),
        cells.BiRLSP(features=8, stages=1),
        cells.DBDNet(features=8),
        cells.FRVSR(features=8, blocks=1, scale=4),
        cells.FastDVDnet(sigma=30.0, features=8),
        cells.FeatCell(backbone="vdncnn", features=8, stages=1),
        cells.FrameCell(features=8, stages=1),
        cells.GRU(features=8),
        cells.IFIRNN(features=8, blocks=2),
        cells.LSTM(features=8),
        cells.MRVSR(features=8),
        cells.MemoryCell(features=8, stages=1, groups=2),
        cells.MemoryUNet(features=(8, 8), blocks=(1, 1), memory_features=8),
        cells.MobileRRN(features=8, blocks=1),
        cells.NoiseLevelCell(cells.FeatCell(noise_map=True), sigma=25),
        cells.RLSPCell(features=8, stages=1),
        cells.RLSPSuperResolution(features=8),
        cells.SelfEnsembleCell(cells.FeatCell(features=8, stages=1)),
        cells.ShiftCell(features=8, stages=1),
        cells.SingleCell(features=8, stages=1),
        cells.STRCNN(features=8, blocks=1),
        cells.StrengthCell(cells.FeatCell(features=8, stages=1), strength=0.5),
        cells.WDVR2D(features=8, blocks=1),
        cells.WDVR3D(design="tsas", features=8, blocks=1),
    ):
        recurrent: cells.RecurrentVideoCell = cell
        print(recurrent.frame_channels)
    clip = cells.BiRLSP(features=8, stages=1)
    cells.SelfEnsembleClip(clip)
    cells.StrengthClip(clip, strength=0.5)
    cells.WindowNetwork(clip_length=8)
    cells.DeblurringCell(channels=3)
    cells.FNet(features=8)
    cells.PyramidFlow(levels=2)
    restored = cells.unroll(cells.FeatCell(features=8, stages=1), CLIP[None])
    print(restored, cells.windows(CLIP[None], window=3))


def use_layers() -> None:
    plain = keras.layers.Conv2D(8, 3, padding="same")
    for layer in (
        layers.BatchNormStage(plain, plain),
        layers.ConvStage(plain),
        layers.FlowWarp(padding="border"),
        layers.GainConv2D(8, 3, start=0, stop=8),
        layers.LucasKanade(levels=3),
        layers.ReparametrisedConv2D(8, 3),
        layers.RepeatConv3D(8, 3),
        layers.ResidualDenseStage([plain, plain], plain),
        layers.ResidualStage(plain, plain),
        layers.SRNCConv2D(8, 3, alpha=2.0, beta=0.5),
        layers.SRNCConv2DTranspose(8, 3, strides=2),
        layers.SRNConv2D(8, (3, 3), alpha=2.0),
        layers.UStage([8, 16], [1, 1], plain),
        layers.WeightNorm(plain),
        layers.WideActivation(plain, plain, scale=0.1),
    ):
        print(layer)
    with layers.cached_kernels({plain: KERNEL}):
        pass


def use_constraints(cell: cells.RecurrentVideoCell) -> None:
    held = constraints.SRNC(2.0, beta=0.1, where="body", decomposition="projected")
    config: dict[str, Any] = held.get_config()
    again = constraints.SRNC(**config)
    conv = constraints.conv2d(again, 8, kernel_size=3, role="head")
    other = constraints.conv2d_transpose(None, 8, strides=2)
    effective: dict[Any, Any] = constraints.effective_kernels(cell, training=True)
    folded: dict[Any, np.ndarray] = constraints.folded_kernels(cell)
    for loop in cell.loops():
        constraints.check_holdable(loop)
    gains = constraints.loop_kernels(cell.loops(), 0.95, lambda part: 1.0)
    count: int = len(constraints.reparametrised(cell))
    print(conv, other, effective, folded, gains, count)


def use_losses() -> None:
    loss = losses.Charbonnier(epsilon=1e-3, name="loss")
    config: dict[str, Any] = loss.get_config()
    print(loss(CLIP, CLIP), config)


def use_hub(folder: Path) -> None:
    address: dict[str, str] | None = hub.address("hf://user/mine@v1.0")
    path: Path = hub.fetch("user/mine", "model.toml", "v1.0", sha256=None)
    newest: Path = hub.fetch_newest("user/mine", "a.bin", hub.sha256_of(path))
    hub.check_upload("user/mine")
    hub.check_file_name("model.toml")
    commit: str = hub.upload("user/mine", {"a.txt": folder / "a.txt"}, "First")
    print(address, newest, commit, hub.LARGEST_TEXT, hub.LARGEST_FILE)


def use_metrics(folder: Path) -> None:
    quality: float = float(metrics.psnr(FRAME, FRAME, y=True, crop=4))
    similarity: float = float(metrics.ssim(FRAME, FRAME))
    weights: dict[str, Any] = metrics.lpips_weights(folder / "alex.npz")
    distance: float = float(metrics.lpips(FRAME, FRAME, weights))
    motion: np.ndarray = metrics.tof(CLIP, CLIP, crop=8)
    flicker: np.ndarray = metrics.warping_error(CLIP, CLIP)
    profile: np.ndarray = metrics.temporal_profile(CLIP, row=8, path=folder / "p.png")
    print(quality, similarity, distance, motion, flicker, profile)
    watched: list[keras.metrics.Metric] = [
        metrics.PSNR(frames="last", y=True),
        metrics.SSIM(crop=4, name="ssim"),
        metrics.LPIPS("alex.npz", sha256="0" * 64),
        metrics.TOF(crop=8),
        metrics.WarpingError(clip=False),
    ]
    print(watched)


def use_numerics() -> None:
    values: np.ndarray = numerics.conv_singular_values(KERNEL, (16, 24), strides=2)
    bound: float = numerics.conv_norm_bound(KERNEL, strides=(1, 1), grid=64)
    norm: float = numerics.conv_norm(KERNEL, 16, padding="valid")
    rank: float = numerics.stable_rank(KERNEL, size=16)
    square: float = float(numerics.conv_frobenius_squared(KERNEL, 16))
    counts: np.ndarray = numerics.tap_counts(KERNEL.shape, 16)
    left: np.ndarray
    right: np.ndarray
    left, right = numerics.start_vectors(KERNEL.shape, 16, seed=1)
    u, v = numerics.power_iteration(KERNEL, left, right, iterations=10)
    held = numerics.srnc_kernel(KERNEL, u, v, alpha=2.0, beta=0.5)
    matrix = numerics.srn_kernel(KERNEL, u, v, 2.0)
    print(values, bound, norm, rank, square, counts, held, matrix)


def use_diagnostics(model: Model, folder: Path) -> None:
    field: diagnostics.ReceptiveFieldResult = diagnostics.temporal_receptive_field(
        model, tau=10, size=32, channel=(0, 1), progress=True
    )
    inputs: np.ndarray = field.inputs
    window: int = field.window
    again: diagnostics.RecoveryResult = diagnostics.recovery(model, field, CLIP)
    needed: int | None = again.frames_needed
    run: diagnostics.LongRunResult = diagnostics.long_run(
        model, folder / "noisy.mp4", reference=[FRAME, FRAME], checkpoint="run.npz"
    )
    first: float
    first, _ = run.deciles
    growth: diagnostics.LyapunovResult = diagnostics.lyapunov(model, iter(CLIP))
    rate: float = growth.rate
    proof: diagnostics.Certificate = diagnostics.certify(model)
    loops: tuple[diagnostics.LoopBound, ...] = proof.loops
    contraction: float | None = proof.contraction
    measured: diagnostics.Spectra = diagnostics.spectra(model, size=16)
    layer: diagnostics.LayerSpectrum = measured.layers[0]
    values: np.ndarray = layer.values
    for result in (field, again, run, growth, proof, measured):
        verdict: str = result.verdict
        text: str = result.summary()
        result.plot(folder / "plot.png")
        print(verdict, text)
    found: diagnostics.Diagnosis = diagnostics.diagnose(model, "a.mp4", sigma=30)
    report: Path = found.save(folder)
    if not isinstance(found.long_run, str):
        onsets: np.ndarray = found.long_run.onsets
        print(onsets)
    print(inputs, window, needed, first, rate, loops, contraction, values, report)


def use_streaming(model: Model, folder: Path) -> None:
    guard = streaming.Guard(factor=2.0, burn_in=7)
    frames: Iterator[np.ndarray] = streaming.restore(model, CLIP, strategy=guard)
    for frame in frames:
        shape: tuple[int, ...] = frame.shape
        print(shape)
    events: list[tuple[int, str]] = guard.events
    for strategy in (
        streaming.Burst(frames=10),
        streaming.Overlap(10),
        streaming.Dampen(factor=0.5),
    ):
        streaming.restore(model, [FRAME], strategy, tile=64, overlap=8)
    count: int = streaming.restore_file(
        "denoise", folder, "out.mp4", crf=18, rate=Fraction(24), sigma=20, seconds=2.5
    )
    print(events, count)


def use_evaluation(model: Model, folder: Path) -> None:
    protocol: evaluation.Protocol = evaluation.PROTOCOLS["tanay"]
    columns: tuple[str, ...] = protocol.columns
    found: evaluation.EvaluationResult = evaluation.evaluate(
        model, [folder / "a.mp4"], protocol, also=("tof",), strategy="burst"
    )
    mean: dict[str, float] = found.mean
    table: str = found.table()
    files: list[Path] = found.save(folder)
    print(columns, mean, table, files)


def use_training(model: Model, folder: Path) -> None:
    videos = [np.zeros((20, 32, 32, 3), "uint8")] * 2
    partial = training.PIBPTT(model, videos, frames=5, size=16, reuse=3, folder=folder)
    clip: dict[str, Any]
    target: np.ndarray
    clip, target = partial[0]
    cost: dict[str, float] = partial.cost
    fresh = training.RandomInit(model, "videos", steps=10, deviation=0.1)
    carried = training.TBPTT(model, videos, batch_size=2, flip=False)
    steps: int = len(fresh) + len(carried)
    if isinstance(model, models.RecurrentRestorer):
        trainer = training.CarryState(model, batch_size=2, size=16)
        trainer.compile(training.Muon(3e-3, use_ema=True), losses.Charbonnier())
        trainer.fit(carried, epochs=1)
    own: list[keras.callbacks.Callback] = [
        training.NonFiniteGuard(every=100, factor=0.5),
        training.AveragedWeights(folder / "averaged.weights.h5"),
        training.LearningCurve("log.csv", path=folder / "log.png"),
        training.Resume(folder, partial, every=200),
    ]
    with training.RunFolder(folder, argparse.Namespace(steps=100), seed=0) as run:
        callbacks: list[keras.callbacks.Callback] = run.callbacks(partial, every=200)
    recipe = training.Recipe("Trains a small denoiser.", steps=200)
    recipe.fit(model, recipe.clips(frames=7, size=64, sigma=30))
    print(clip, target, cost, steps, own, callbacks)


def use_data(folder: Path) -> None:
    with data.open_video(folder / "in.mp4") as video:
        info: data.VideoInfo = video.info
        with data.create_video("out.mp4", info, crf=20, overwrite=True) as out:
            for frame in video:
                image: np.ndarray = frame.image
                out.write(image, frame.time, frame.duration)
    colour: data.VideoColour = info.colour
    hdr: bool = colour.is_hdr
    reader = data.VideoReader("in.mp4", allow_damaged=True)
    frames: list[data.VideoFrame] = list(reader)
    pictures = data.ImageReader(folder.glob("*.png"), rate="30000/1001")
    rate: Fraction = pictures.info.rate
    with data.VideoWriter("copy.mkv", info, lossless=True) as writer:
        writer.write(FRAME, time=0)
    with data.ImageWriter(folder / "frames") as images:
        images.write(FRAME, time=0, name="first")
    try:
        level: float = data.noise_level(FRAME)
    except data.VideoError as error:
        print(error)
    path = data.CameraPath(speed=(0.0, 2.0), reach=8)
    places: Iterator[tuple[float, float]] = path.places(RANDOM)
    noise = degradations.GaussianNoise(sigma=(0, 55))
    clips = data.ClipDataset("videos", frames=7, motion=path, degrade=noise)
    degraded: np.ndarray
    clean: np.ndarray
    degraded, clean = clips[0]
    weighed = data.ClipDataset(["a.mp4", folder], sigma=30, weight=lambda path: 1.0)
    mixed = data.ClipMixture([clips, weighed], weights=[3, 1])
    pairs = data.TfdsClips("reds/blur", split="train", size=64)
    count: int = len(mixed) + len(pairs)
    print(hdr, frames, rate, level, places, degraded, clean, count)


def use_sequences() -> None:
    frames: Iterator[np.ndarray]
    for frames in (
        sequences.still(FRAME, frames=5),
        sequences.stills(CLIP, frames=100),
        sequences.pan(FRAME, 5, velocity=(0, 0.5), size=16),
        sequences.camera(FRAME, None, data.CameraPath(reach=4), size=16, seed=1),
        sequences.ping_pong([FRAME, FRAME], 10),
        sequences.gamma(FRAME, 5, low=0.5, period=50),
    ):
        print(next(frames))
    print(data.sequences, data.builders, data.degradations)


def use_builders(folder: Path) -> None:
    names: dict[str, str] = builders.names()
    made = builders.build(next(iter(names)), "downloads", folder, partial=True)
    built = builders.builder("reds/blur", data_dir=folder)
    print(made.as_dataset("train"), built.scale())


def use_degradations() -> None:
    degraded: np.ndarray = degradations.gaussian_noise(CLIP, (0, 55), RANDOM)
    degraded = degradations.poisson_gaussian(CLIP, 1000, 5.0, RANDOM)
    degraded = degradations.bicubic_down(CLIP, scale=2)
    degraded = degradations.gaussian_down(CLIP, scale=2, sigma=1.5)
    degraded = degradations.h264(CLIP, crf=28, preset="fast")
    degraded, target = degradations.motion_blur(CLIP, window=3)
    degraded, target = degradations.camera(CLIP, RANDOM, codec=None, crf=(20, 30))
    some: list[degradations.Degradation] = [
        degradations.GaussianNoise(sigma=30, noise_map=True),
        degradations.PoissonGaussian(photons=(100, 1000)),
        degradations.BicubicDown(scale=4),
        degradations.GaussianDown(scale=4, centred=True),
        degradations.H264(crf=(20, 30)),
        degradations.MotionBlur(window=7, gamma=2.2),
        degradations.Camera(demosaic="malvar", codec=("h264", None)),
    ]
    either = degradations.OneOf(some[:2], weights=[3, 1], seed=1)
    needed: int = either.frames_needed(7)
    scale: int = either.scale
    degraded, target = either.degrade(CLIP, RANDOM)
    config: dict[str, Any] = either.get_config()
    print(degraded, target, needed, scale, either(CLIP, number=3), config)
