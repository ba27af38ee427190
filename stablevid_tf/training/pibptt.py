import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from stablevid_tf.models.restorer import Restorer
from stablevid_tf.numerics.geometry import check_size
from stablevid_tf.training.crops import Crops, check_one_worker
from stablevid_tf.training.state_store import StateStore
from stablevid_tf.training.video_pass import VideoPass, as_array, start_leaves

_DTYPES = (None, "float32", "float16")


class PIBPTT(Crops):
    """Partial-initialisation BPTT: clips that begin with the state of a long video.

    At the beginning of every epoch, with the weights of that moment,

    1. one square is cropped out of all `T` frames of every video,
    2. all frames run forward once, without gradient: `h(t) = f(x(t), h(t - 1))`,
    3. a random `t` is drawn `reuse` times per video; a clip is the state `h(t - 1)` and
       the frames `t ... t + l - 1`.

    A bidirectional model begins its clip with the forward state of `t - 1` and the
    backward state of `t + l`. Models built with `frame_number` get the true numbers of
    the frames. Source: Mori and Ukita, "Time-series Initialization and Conditioning
    for Video-agnostic Stabilization of Video Super-Resolution using Recurrent
    Networks", figure 6. The paper does not state the states of bidirectional models
    (ours are a guess), and begins step 2 with a random state; here step 2 begins with
    the initial state of inference.

    A batch costs `1 + T / (3 l reuse)` times that of `RandomInit`, if a training step
    costs three times its forward frames. The videos run side by side, `batch_size` at a
    time. Only the initial states of the epoch's clips are kept: `reuse` per video, in
    memory up to `memory` bytes and in a file beyond that; `cost` gives the sizes. To
    limit T, use slices of videos (`video[:120]`).

    Step 2 runs when the epoch begins (`prepare`), so only `fit` trains from true
    states; batches read before that begin with the initial state. If Keras reads a
    batch before the first epoch (`tf.distribute`, JAX), that costs one more pass.

    Args:
        model: the restorer to train.
        videos: arrays [T, H, W, C], uint8 or floating in [0, 1], such as
            `ClipDataset.videos`; or a source, as `data.ClipDataset` takes it. Videos
            that are too small are left out; a warning gives their number.
        frames: l, the frames per clip.
        size: side of the square in pixels of the target.
        batch_size: clips per batch.
        reuse: R, clips per video and epoch. An epoch is `N R` clips of `N` videos,
            without those that do not fill a batch.
        degrade: `degrade(clean, random)` takes clean frames, float32
            [n, size, size, C] in [0, 1], and a NumPy generator; it returns the frames
            that the model sees, [n, size / scale, size / scale, C]. Default: the clean
            frames.
        flip: whether to mirror and transpose videos at random.
        seed: integer. Squares, order and `t` are functions of (seed, epoch).
        dtype: dtype of the kept states: None or "float32" for full precision, "float16"
            for half the memory (11 bits; values beyond 65504 are clipped).
        memory: the largest number of bytes of states and degraded frames in memory.
        folder: folder of the file with the rest. Default: the system's temporary one.
        **kwargs: as in `keras.utils.PyDataset`, but with one worker only.

    Items:
        `({"frames": seen, "state": numbers}, clean)` for `model.fit`.

    Raises:
        ValueError: an argument is out of range, or the model has no memory.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models, training
        >>> model = models.build("vresnet_rlsp", features=4, blocks=1)
        >>> videos = [np.zeros((20, 16, 16, 3), "uint8")] * 2
        >>> clips = training.PIBPTT(
        ...     model, videos, frames=5, size=8, batch_size=2, reuse=3
        ... )
        >>> len(clips)
        3
        >>> model.compile("adam", "mse")
        >>> model.fit(clips, epochs=1)                           # doctest: +SKIP
    """

    def __init__(
        self,
        model: Restorer,
        videos: str | os.PathLike[str] | Iterable[np.ndarray],
        reuse: int = 16,
        dtype: str | None = None,
        memory: float = 4 * 2**30,
        folder: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, videos, **kwargs)
        # They would get zero states without an error.
        check_one_worker(self, "workers begin before an epoch's states are made")
        check_size("reuse", reuse)
        if dtype not in _DTYPES:
            raise ValueError(
                f"dtype must be None, float32 or float16. Received: dtype={dtype!r}"
            )
        if not memory >= 0:
            raise ValueError(f"memory must be 0 bytes or more. Received: {memory!r}")
        self.reuse = reuse
        self.dtype = dtype
        self.memory = memory
        self.folder = None if folder is None else os.fspath(folder)
        self._start = start_leaves(model, self.batch_size, self.size)
        if len(self) == 0:
            raise ValueError(
                f"An epoch is {len(self.videos)} videos times reuse={reuse} clips, "
                f"less than a batch. Received: batch_size={self.batch_size}. Use a "
                "larger reuse, or a smaller batch_size"
            )
        self._prepared = None
        self._passes = None
        self._forward = 0
        self._store = StateStore(memory, self.folder)

    def __len__(self) -> int:
        return len(self.videos) * self.reuse // self.batch_size

    @property
    def cost(self) -> dict[str, float]:
        """The cost of the last epoch's states, a dict.

        `states`: the number of kept states; `bytes_in_memory`, `bytes_on_disk`: the
        size of the states and of the frames they were made from; `forward_frames`: the
        frames that ran forward to make them; `step`: an estimate of the cost of a
        training step, relative to that of `RandomInit`.
        """
        trained = 3 * self.frames * self.batch_size * len(self)
        return {
            "states": len(self.videos) * self.reuse,
            "bytes_in_memory": self._store.in_memory,
            "bytes_on_disk": self._store.on_disk,
            "forward_frames": self._forward,
            "step": 1 + self._forward / trained,
        }

    def on_epoch_begin(self) -> None:
        if self._prepared != self.epoch:
            self.prepare()

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        self._prepared = None

    def prepare(self) -> None:
        """Run steps 1 and 2 for the epoch `self.epoch`, with the model's weights."""
        self.model.build()
        getattr(self.model, "jax_state_sync", lambda: None)()
        directions = self.model.network.ways()
        if self._passes is None:
            self._passes = [
                VideoPass(self.model, d, self.batch_size) for d in directions
            ]
        # The memory of the old epoch is released first.
        self._seen = self._kept = None
        self._store = StateStore(self.memory, self.folder)
        self._seen = [self._kept_frames(v) for v in range(len(self.videos))]
        self._firsts, _ = self._drawn()
        rows = len(self.videos) * self.reuse
        self._kept = [
            self._store.array((rows, *leaf.shape[1:]), self._dtype_of(leaf))
            for leaf in self._start
        ]
        self._forward = 0
        done = 0
        for video_pass in self._passes:
            done += self._go(video_pass, self._kept[done:])
        self._prepared = self.epoch

    def _drawn(self):
        """First frames [N, R] of the epoch's clips, and their order: [(v, r)]."""
        random = np.random.default_rng([self.seed, self.epoch])
        count = len(self.videos)
        last = np.array([len(v) - self.frames for v in self.videos])
        firsts = random.integers(last[:, None] + 1, size=(count, self.reuse))
        # Every video once before any comes again.
        order = [
            (int(v), r) for r in range(self.reuse) for v in random.permutation(count)
        ]
        return firsts, order

    def _kept_frames(self, index):
        seen = self.play(index)[1]
        kept = self._store.array(seen.shape, seen.dtype)
        kept[...] = seen
        return kept

    def _dtype_of(self, leaf):
        whole = np.issubdtype(leaf.dtype, np.integer)
        return leaf.dtype if whole or self.dtype is None else np.dtype(self.dtype)

    def _go(self, video_pass, kept):
        """Fill the rows of `kept` with the states of one direction; return how many."""
        length = np.array([len(seen) for seen in self._seen])
        # The wanted state comes after this many frames in this direction.
        if video_pass.backwards:
            after, number = length[:, None] - self.frames - self._firsts, length + 1
        else:
            after, number = self._firsts, np.zeros_like(length)
        wanted = {}
        for (v, r), count in np.ndenumerate(after):
            wanted.setdefault((v, int(count)), []).append(v * self.reuse + r)

        def frames_of(v, i):
            at = length[v] - 1 - i if video_pass.backwards else i
            near = np.arange(at - self.half, at + self.half + 1)
            window = self._seen[v][np.clip(near, 0, length[v] - 1)]
            return np.concatenate(window, axis=-1)

        def keep(v, count, leaves, slot):
            rows = wanted.get((v, count))
            if rows:
                for array, leaf in zip(kept, leaves, strict=False):
                    array[rows] = _fitted(as_array(leaf)[slot], array.dtype)

        for v in range(len(length)):
            first = video_pass.begin(frames_of(v, 0)[None], [number[v]])
            keep(v, 0, first, 0)
        self._forward += video_pass.run(after.max(axis=1), frames_of, number, keep)
        return len(first)

    def __getitem__(self, index: int) -> tuple[dict[str, Any], np.ndarray]:
        firsts, order = self._drawn()
        clips = order[index * self.batch_size : (index + 1) * self.batch_size]
        ready = self._prepared == self.epoch
        clean, seen = [], []
        for v, r in clips:
            random = np.random.default_rng([self.seed, self.epoch, v])
            first = int(firsts[v, r])
            clean.append(self.cut(self.videos[v], random, first, self.frames))
            video = self._seen[v] if ready else self.play(v)[1]
            seen.append(self.margined(video, first))
        state = self._start
        if ready:
            rows = [v * self.reuse + r for v, r in clips]
            state = tuple(array[rows] for array in self._kept)
        else:
            state = tuple(leaf.astype(self._dtype_of(leaf)) for leaf in state)
        return {"frames": np.stack(seen), "state": state}, np.stack(clean)


def _fitted(value, dtype):
    """Values clipped to the range of a dtype."""
    if dtype == np.float16:
        top = np.finfo(np.float16).max
        value = np.clip(value, -top, top)
    return value
