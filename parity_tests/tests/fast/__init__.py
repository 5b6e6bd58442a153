"""Tests of the forms for speed."""
