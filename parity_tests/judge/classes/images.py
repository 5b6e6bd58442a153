"""Images: attention whose tokens are the positions of an image.

Such a layer takes (texts, channels, rows, columns). The reference is given
the same numbers as (texts, tokens, channels), row by row.
"""

import re
from math import isqrt

import numpy as np

from parity_tests.judge.candidate.things import Thing

SIZE = r"\w+\s*,\s*"
OF_IMAGES = re.compile(
    rf"Conv2d|({SIZE}){{3}}\w+\s*=\s*\w+\.(shape|size\(\))|"
    r"\b(b|n|bs|batch\w*) c h w\b|"
    rf"({SIZE}){{2}}\*\w+\s*=\s*\w+\.(shape|size\(\))"
)


def takes_images(thing: Thing) -> bool:
    """Whether its source convolves images, or takes four sizes apart, or
    two and as many as there are."""
    return OF_IMAGES.search(thing.source) is not None


def to_image(tokens: np.ndarray) -> np.ndarray:
    """(texts, tokens, channels) as an image that is nearly a square."""
    texts, count, channels = tokens.shape
    rows = next(n for n in range(isqrt(count), 0, -1) if count % n == 0)
    image = tokens.swapaxes(1, 2)
    return image.reshape(texts, channels, rows, count // rows)


def from_image(image: np.ndarray) -> np.ndarray:
    """(texts, channels, rows, columns) as (texts, tokens, channels)."""
    texts, channels = image.shape[:2]
    return image.reshape(texts, channels, -1).swapaxes(1, 2)
