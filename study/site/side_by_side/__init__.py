"""Side by side: a Sphinx extension that shows two versions of one code.

Two packages have files, functions and locals of the same names. Each step,
a statement that gives a name to something, becomes one row: the equation,
the code of both, and a value. It knows nothing of the project that it
stands in; `extension` says how to use it.
"""

from .extension import setup as setup
