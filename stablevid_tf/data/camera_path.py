import math
from collections.abc import Iterator

import numpy as np


class CameraPath:
    """Places of an unsteady camera, frame after frame: random, smooth, of any length.

    The motion of Boracchi and Foi, "Modeling the Performance of Image Restoration from
    Motion Blur", 2012, which appendix G of Tanay et al., "Diagnosing and Preventing
    Instabilities in Recurrent Video Processing", moves still pictures by. Place ``x``
    and velocity ``v`` are complex numbers, right and down; from frame to frame

        v <- v + s + a l (g n - c x),    v <- l v / |v|,    x <- x + v,

    with speed ``l``, shake ``a`` (their "anxiety"), complex Gaussian ``n`` of deviation
    1 on either axis, and now and then (with probability ``a b``) an abrupt turn
    ``s = 2 v exp(i (pi + u))``, ``u`` uniform in [-1/2, 1/2]. For each path
    ``c ~ U(0, 0.7)``, ``g ~ U(0, 10)``, ``b ~ U(0, 0.2)`` and the first direction are
    drawn. They walk 2000 steps within one exposure; here a step is a frame. Ours are a
    speed drawn for each path, and the reach: beyond it, the way is folded back, so that
    a path of any length stays within a picture. It moves, and neither turns nor zooms.

    Args:
        speed: pixels a frame: a number, or ``(low, high)`` to draw one for each path.
        shake: from 0 (straight) to 1.
        reach: pixels that a place is away from the first one along an axis, at most.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> import itertools
        >>> import numpy as np
        >>> from stablevid_tf.data import CameraPath
        >>> path = CameraPath(speed=1.0, shake=0, reach=100)
        >>> places = itertools.islice(path.places(np.random.default_rng(0)), 11)
        >>> places = np.array(list(places))
        >>> round(float(np.hypot(*(places[10] - places[0]))), 6)
        10.0
    """

    def __init__(
        self,
        speed: float | tuple[float, float] = (0.0, 1.0),
        shake: float = 0.02,
        reach: int = 16,
    ) -> None:
        low, *middle, high = (speed, speed) if np.isscalar(speed) else speed
        if middle or not 0 <= low <= high <= 64:
            raise ValueError(
                "speed is pixels a frame, between 0 and 64, or (low, high). "
                f"Received: {speed!r}"
            )
        if not 0 <= shake <= 1:
            raise ValueError(f"shake is between 0 and 1. Received: {shake!r}")
        if isinstance(reach, bool) or not isinstance(reach, int) or reach < 1:
            raise ValueError(
                f"reach is an integer number of pixels, 1 or more. Received: {reach!r}"
            )
        self.speed = (float(low), float(high))
        self.shake = float(shake)
        self.reach = reach

    @property
    def margin(self) -> int:
        """Pixels that a picture needs around the window on each side."""
        # Half a pixel where the picture's middle lies between pixels, two for Keys.
        return self.reach + 3

    def places(self, random: np.random.Generator) -> Iterator[tuple[float, float]]:
        """Endless iterator of (down, right), from (0, 0), drawn from a generator."""
        low, high = self.speed
        speed = low if low == high else random.uniform(low, high)
        centripetal, gaussian, abrupt = random.uniform(0, [0.7, 10, 0.2])
        step = speed * np.exp(2j * math.pi * random.uniform())
        x = 0j
        while True:
            yield self._fold(x.imag), self._fold(x.real)
            turn, angle = random.uniform(size=2)
            noise = complex(*random.standard_normal(2))
            change = self.shake * speed * (gaussian * noise - centripetal * x)
            if turn < self.shake * abrupt:
                change += 2 * step * np.exp(1j * (math.pi + angle - 0.5))
            new = step + change
            # The direction is kept where noise has cancelled it to nothing.
            step = speed * new / abs(new) if abs(new) else step
            x += step

    def _fold(self, x):
        """A triangular wave: ``x`` near 0, never beyond the reach."""
        around = (x + self.reach) % (4 * self.reach)
        return self.reach - abs(around - 2 * self.reach)

    def __repr__(self) -> str:
        return f"CameraPath(speed={self.speed}, shake={self.shake}, reach={self.reach})"
