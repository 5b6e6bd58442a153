"""Tests of the claims of the field about attention."""
