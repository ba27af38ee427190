import numpy as np

from stablevid_tf.training.crops import Crops, check_one_worker


class TBPTT(Crops):
    """Truncated BPTT: a batch goes on where the one before it ended.

    Every place of a batch plays videos through, ``l`` frames a batch; the state after
    a batch's last frame is that before the next one's first, without gradient. Videos
    come in a new order and cut in a new square at every epoch. The model that carries
    the state is :class:`CarryState`, whose ``fit`` takes batches in order.

    Every batch is a function of ``(seed, epoch, index)``. An epoch's clips, video
    after video, are dealt out to the places in equal runs: where a run begins in the
    middle of a video, so does the state. Frames that fill no clip are left out.

    Args:
        model, videos, frames, size, batch_size, degrade, flip, seed: see
            :class:`stablevid_tf.training.PIBPTT`.
        **kwargs: as in ``keras.utils.PyDataset``, but one worker only.

    Items:
        ``({"frames": seen, "first": bool [B], "number": int32 [B]}, clean)``:
        ``first`` where a fresh state begins, ``number``: frames of the video before.

    Raises:
        ValueError: an argument outside its range, or not enough clips for a batch.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models, training
        >>> model = models.build("vresnet_rlsp", features=4, blocks=1)
        >>> videos = [np.zeros((20, 16, 16, 3), "uint8")] * 2
        >>> clips = training.TBPTT(model, videos, frames=5, size=8, batch_size=2)
        >>> len(clips)
        4
        >>> trainer = training.CarryState(model, batch_size=2, size=8)
        >>> trainer.compile("adam", "mse")
        >>> trainer.fit(clips, epochs=1)                         # doctest: +SKIP
    """

    def __init__(self, model, videos, **kwargs):
        super().__init__(model, videos, **kwargs)
        check_one_worker(self, "what a place plays is kept from batch to batch")
        self._clips = sum(len(v) // self.frames for v in self.videos)
        if len(self) == 0:
            raise ValueError(
                f"{len(self.videos)} videos give {self._clips} clips of {self.frames} "
                f"frames, less than a batch. Received: batch_size={self.batch_size}"
            )
        self._playing = {}

    def __len__(self):
        return self._clips // self.batch_size

    def _places(self):
        """The epoch's clips, [(video, first frame)]."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(
            len(self.videos)
        )
        return [
            (int(v), i * self.frames)
            for v in order
            for i in range(len(self.videos[v]) // self.frames)
        ]

    def __getitem__(self, index):
        places = self._places()
        clean, seen, numbers = [], [], []
        for slot in range(self.batch_size):
            video, first = places[slot * len(self) + index]
            played, degraded = self._played(slot, video)
            clean.append(played[first : first + self.frames])
            seen.append(self.margined(degraded, first))
            numbers.append(first)
        numbers = np.array(numbers, "int32")
        fresh = (numbers == 0) | (index == 0)
        clip = {"frames": np.stack(seen), "first": fresh, "number": numbers}
        return clip, np.stack(clean)

    def _played(self, slot, video):
        """The video that a place of the batch plays: cut and degraded once."""
        key = (self.epoch, video)
        if self._playing.get(slot, (None,))[0] != key:
            self._playing[slot] = (key, self.play(video))
        return self._playing[slot][1]
