"""Which precision inference runs in."""

import warnings
from pathlib import Path

from stablevid_tf import backend

# Keras dtype policies: weights stay float32, convolutions compute in the named type.
POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
_CPUINFO = Path("/proc/cpuinfo")


def policy_of(precision):
    """The Keras dtype policy of a precision.

    Args:
        precision: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`.

    Raises:
        ValueError: another name.

    Example:
        >>> from stablevid_tf.backend.precision import policy_of
        >>> policy_of("bfloat16")
        'mixed_bfloat16'
    """
    accelerated = backend.fast_bfloat16()
    if precision == "auto":
        precision = fastest_precision(accelerated)
    if precision not in POLICIES:
        raise ValueError(
            f"Unknown precision. Received: {precision!r}. Choose from: auto, "
            f"{', '.join(POLICIES)}"
        )
    if precision == "float16" and accelerated is None:
        warnings.warn(
            "float16 on a CPU is up to seven times slower than float32; use auto, "
            "bfloat16 or float32",
            stacklevel=2,
        )
    return POLICIES[precision]


def fastest_precision(accelerated=None, cpuinfo=None):
    """`"bfloat16"` if this machine has matrix units for it, else `"float32"`.

    A CPU has them if Linux lists the flag `amx_bf16`. There a step of `tiny` was 4.0
    times faster than in float32, of `vresnet_feat_srnc_map` 6.1 times, of
    `vresnet_feat_srnc` 2.5 times (median ratio of interleaved steps, frames of 448x256,
    TensorFlow 2.21 on two cores, 2026-11-28). With `avx512_bf16` alone it was not
    faster: 156 ms and 1,037 ms per frame of the first two, in float32 157 ms and 717 ms
    (the same CPU under `ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16`).

    Args:
        accelerated: as `backend.fast_bfloat16()` returns it.
        cpuinfo: the text of `/proc/cpuinfo`. Default: this machine's, empty if there
            is none.

    Example:
        >>> from stablevid_tf.backend.precision import fastest_precision
        >>> fastest_precision(cpuinfo="flags : fpu avx512_bf16 amx_bf16 amx_tile")
        'bfloat16'
        >>> fastest_precision(cpuinfo="flags : fpu avx2 avx512_bf16")
        'float32'
    """
    if accelerated is not None:
        return "bfloat16" if accelerated else "float32"
    if cpuinfo is None:
        cpuinfo = _CPUINFO.read_text() if _CPUINFO.is_file() else ""
    flags = {
        flag
        for line in cpuinfo.splitlines()
        if line.split(":")[0].strip() == "flags"
        for flag in line.split(":", 1)[-1].split()
    }
    return "bfloat16" if "amx_bf16" in flags else "float32"
