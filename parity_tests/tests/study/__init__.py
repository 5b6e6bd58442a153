"""Tests of the commands and the notebooks."""
