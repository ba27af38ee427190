"""Strategies by name."""

from stablevid_tf.streaming.burst import Burst
from stablevid_tf.streaming.dampen import Dampen
from stablevid_tf.streaming.guard import Guard
from stablevid_tf.streaming.overlap import Overlap

Strategy = Burst | Dampen | Guard | Overlap
STRATEGIES = {"burst": Burst, "dampen": Dampen, "guard": Guard, "overlap": Overlap}


def strategy_of(value):
    """A strategy from its instance or its name; None stays None.

    Raises:
        ValueError: `value` is neither.
    """
    if isinstance(value, str) and value in STRATEGIES:
        return STRATEGIES[value]()
    if value is None or isinstance(value, tuple(STRATEGIES.values())):
        return value
    raise ValueError(
        f"strategy must be None, one of {sorted(STRATEGIES)}, or an instance such as "
        f"streaming.Burst(10). Received: {value!r}"
    )
