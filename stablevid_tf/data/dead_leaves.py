import numpy as np


def dead_leaves(height, width, seed=0):
    """A synthetic picture with the statistics of natural ones.

    Discs of random brightness, slightly coloured, fall on one another until the picture
    is covered; radii follow ``p(r) ~ r^-3`` between 1 pixel and a third of the picture.
    Edges, flat regions and scale invariance are those of photographs. Drawn at twice
    the size and averaged, so that edges are as soft as a camera's. Source: Lee, Mumford
    and Huang, "Occlusion Models for Natural Images", 2001.

    Args:
        height, width: in pixels.
        seed: integer.

    Returns:
        float32 [height, width, 3] in [0, 1].

    Example:
        >>> from stablevid_tf.data.dead_leaves import dead_leaves
        >>> dead_leaves(32, 48).shape
        (32, 48, 3)
    """
    random = np.random.default_rng(seed)
    height, width = 2 * height, 2 * width
    image = np.zeros((height, width, 3), "float32")
    covered = np.zeros((height, width), bool)
    smallest, largest = 2.0, max(3.0, min(height, width) / 3)
    # From front to back: what is covered stays. Now and then the holes that are left
    # are looked at, for a place where a disc shows.
    while not covered.all():
        holes = np.argwhere(~covered)
        for _ in range(100):
            # The inverse of the distribution function of r^-3 between the two.
            share = random.uniform()
            radius = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
            hole = holes[random.integers(len(holes))]
            y, x = hole + radius * random.uniform(-1, 1, size=2)
            brightness = random.uniform(0.1, 0.9)
            colour = np.clip(brightness + random.normal(scale=0.06, size=3), 0, 1)
            _paint(image, covered, y, x, radius, colour)
    return image.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))


def _paint(image, covered, y, x, radius, colour):
    """Draw a disc where nothing is yet."""
    reach = slice(max(0, int(y - radius)), max(0, int(y + radius) + 2))
    across = slice(max(0, int(x - radius)), max(0, int(x + radius) + 2))
    rows, columns = np.ogrid[: len(image), : image.shape[1]]
    away = (rows[reach] - y) ** 2 + (columns[:, across] - x) ** 2
    new = (away <= radius**2) & ~covered[reach, across]
    image[reach, across][new] = colour
    covered[reach, across] |= new
