"""Adapters: a library's attention as a file that `twice check` can judge.

A few lines each: the library's function under the reference's name, with
its own conventions, which the judge detects and reports.
"""
