"""A number that two modules might share."""

ROOT = 1 / 2
