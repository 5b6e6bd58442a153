"""Conventions of the libraries: what each one's attention does, probed.

    python -m parity_tests.conventions.table
    python -m parity_tests.conventions.record data/conventions_before.json

`table` has a row for each library that is installed, `shipped_bugs` what
older releases did wrong, in numbers that a pencil can check, and `record`
asks those releases the same, each in an environment of its own.
"""
