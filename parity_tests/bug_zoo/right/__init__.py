"""Correct, but different: what a fair judge must accept.

Other ways to the same numbers, with other rounding. The first line of each
says what is unusual about it.
"""
