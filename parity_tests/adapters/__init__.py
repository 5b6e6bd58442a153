"""A library's attention as a file that `twice check` can judge.

A few lines each: the library's function under the reference's name, its
own conventions left as they are. They are found out, and reported.
"""
