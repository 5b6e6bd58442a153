"""Tests of the steps and their gradients."""
