"""The protocols of the papers, as a table."""

from stablevid_tf.evaluation.protocol import Protocol

_ALL = (
    Protocol(
        name="tanay",
        source='Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent '
        'Video Processing", tables 1 to 3',
        task="denoising",
        degradation="GaussianNoise",
        settings={"sigma": 30.0},
        scale=1,
        measures=(("psnr", 1), ("psnr", 7), ("psnr", "mean")),
        frames=7,
        open="The paper measures the first 1024 validation septuplets of Vimeo-90k.",
    ),
    Protocol(
        name="tanay_x2",
        source='Tanay et al., "Diagnosing and Preventing Instabilities in Recurrent '
        'Video Processing", section 3.3 and table 5',
        task="super-resolution by 2",
        degradation="BicubicDown",
        settings={"scale": 2},
        scale=2,
        measures=(("psnr", 1), ("psnr", 7), ("psnr", "mean")),
        frames=7,
        open="The paper does not state the downsampling (here antialiased bicubic, not "
        "rounded).",
    ),
    Protocol(
        name="mori",
        source='Mori and Ukita, "Time-series Initialization and Conditioning for '
        'Video-agnostic Stabilization of Video Super-Resolution", section VI',
        task="super-resolution by 4",
        degradation="GaussianDown",
        settings={"scale": 4, "sigma": 1.5},
        scale=4,
        measures=(("psnr", "mean"), ("ssim", "mean")),
        y=True,
        open="The paper does not state the edges of the blur (here mirrored) and the "
        "rounding of the small frames (here none).",
    ),
    Protocol(
        name="wdvr_reds",
        source='Fan et al., "An Empirical Investigation of Efficient Spatio-Temporal '
        'Modeling in Video Restoration", section 4.1',
        task="super-resolution by 4",
        degradation="BicubicDown",
        settings={"scale": 4},
        scale=4,
        measures=(("psnr", "mean"), ("ssim", "mean")),
        rounded=True,
    ),
    Protocol(
        name="wdvr_vid4",
        source='Fan et al., "An Empirical Investigation of Efficient Spatio-Temporal '
        'Modeling in Video Restoration", section 4.3 and table 3',
        task="super-resolution by 4",
        degradation="BicubicDown",
        settings={"scale": 4},
        scale=4,
        measures=(("psnr", "mean"), ("ssim", "mean")),
        y=True,
        crop=4,
        rounded=True,
        open="The paper does not state the downsampling of Vid4 (here that of REDS).",
    ),
    Protocol(
        name="rirn",
        source='Park et al., "Recurrence-in-Recurrence Networks for Video Deblurring", '
        "supplement, tables S5 and S6",
        task="deblurring",
        degradation="MotionBlur",
        settings={"window": 7},
        scale=1,
        measures=(("psnr", "mean"), ("ssim", "mean")),
        rounded=True,
        open="The paper uses the blurred frames of GoPro or REDS: give them and the "
        "truth. The blur here (7 frames averaged) is for sharp videos without them.",
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in _ALL}
