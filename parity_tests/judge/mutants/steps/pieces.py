"""Pieces that the tables of several files share."""

from collections.abc import Callable
from math import pi, sqrt

import numpy as np

Mutants = dict[str, Callable]


def total(array):
    """The sum over the last axis, which stays."""
    return array.sum(axis=-1, keepdims=True)


def mean(x):
    return x.mean(axis=-1, keepdims=True)


def density(x):
    """The normal density."""
    return np.exp(-x * x / 2) / sqrt(2 * pi)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def nothing_done(x, _=None):
    return x
