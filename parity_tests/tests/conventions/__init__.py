"""Tests of the table of conventions, and of what is recorded."""
