import numpy as np


def dead_leaves(height, width, seed=0):
    """A made-up picture with the statistics of natural ones.

    Discs of random colours fall on one another until the picture is covered; radii
    follow ``p(r) ~ r^-3`` between 2 pixels and a third of the picture. Edges, flat
    regions and scale invariance are those of photographs. Source: Lee, Mumford and
    Huang, "Occlusion Models for Natural Images", 2001.

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
    image = np.zeros((height, width, 3), "float32")
    covered = np.zeros((height, width), bool)
    rows, columns = np.mgrid[:height, :width]
    smallest, largest = 2.0, max(3.0, min(height, width) / 3)
    while not covered.all():
        # The inverse of the distribution function of r^-3 between the two.
        share = random.uniform()
        radius = (smallest**-2 - share * (smallest**-2 - largest**-2)) ** -0.5
        y = random.uniform(-radius, height + radius)
        x = random.uniform(-radius, width + radius)
        colour = random.uniform(0.05, 0.95, size=3)
        # From front to back: what is covered stays.
        new = ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2) & ~covered
        image[new] = colour
        covered |= new
    return image
