"""Tests of the instruments of the proofs, also that they fail."""
