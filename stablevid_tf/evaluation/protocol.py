import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a paper measures: how it degrades clips, and how it compares them.

    Plain data; those of the papers are in `evaluation.PROTOCOLS`. Values are clipped
    to [0, 1] and not rounded before they are compared. A clip's value is that of one
    frame, or the mean over its frames; the value of a set is the mean over its clips,
    long or short.

    Attributes:
        name: the protocol's name, one word.
        source: the paper and its section.
        task: the task of the models, such as "denoising".
        degradation: name of a class of `data.degradations`.
        settings: its arguments.
        scale: how many times larger the restored frames are.
        measures: pairs of "psnr" or "ssim" and a frame: a number, counted from 1, or
            "mean".
        y: whether to compare luma of BT.601 (studio range) instead of RGB.
        crop: pixels left out at each border.
        frames: how many frames of a clip the model sees, from the first; None: all.
            Shorter clips are left out.
        rounded: whether the degraded frames are rounded to 8 bits, as pictures on disk
            are.
        open: on what data the paper measured, or what it does not state and which
            choice was made here.

    Example:
        >>> import dataclasses
        >>> from stablevid_tf.evaluation import PROTOCOLS
        >>> tanay = PROTOCOLS["tanay"]
        >>> softer = dataclasses.replace(tanay, name="mine", settings={"sigma": 10})
        >>> softer.columns
        ('psnr_rgb_frame1', 'psnr_rgb_frame7', 'psnr_rgb_mean')
    """

    name: str
    source: str
    task: str
    degradation: str
    settings: dict[str, Any]
    scale: int
    measures: tuple[tuple[str, int | str], ...]
    y: bool = False
    crop: int = 0
    frames: int | None = None
    rounded: bool = False
    open: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column name of each measure."""
        return tuple(self.column(*measure) for measure in self.measures)

    def column(self, metric: str, frame: int | str) -> str:
        """The column name of one measure."""
        colour = {"psnr": self._colour, "ssim": self._colour, "lpips": "_rgb"}
        at = frame if frame == "mean" else f"frame{frame}"
        return f"{metric}{colour.get(metric, '')}_{at}"

    @property
    def _colour(self):
        return "_y" if self.y else "_rgb"

    def describe(self, given: bool = False) -> str:
        """The protocol in a few sentences.

        Args:
            given: whether degraded clips were given besides the truth.
        """
        what = "luma (BT.601, studio range)" if self.y else "RGB"
        if self.crop:
            what += f", {self.crop} pixels left out at each border"
        settings = ", ".join(f"{k}={v!r}" for k, v in self.settings.items())
        degraded = f"{self.degradation}({settings})"
        if given:
            degraded = "degraded clips as given"
        count = "every frame" if self.frames is None else f"the first {self.frames}"
        text = (
            f"{self.name}: {self.task}, {degraded}, {count} of each clip, {what}, mean "
            f"over clips. {self.source}."
        )
        return f"{text} {self.open}".strip()
