"""Figures: the measured numbers of the texts, from one results file.

`python -m study.figures` measures them and writes them into the texts.
"""
