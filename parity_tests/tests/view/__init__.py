"""Tests of what `bert_viz` measures and draws."""
