"""What is right, from PyTorch's own attention and never from the judge.

A check takes the module of one file and yields pairs: what came out of it,
and what should have. A right file yields equal pairs only; a wrong one
yields at least one pair that is apart.
"""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

from torch import Tensor

Pairs = Iterator[tuple[Tensor, Tensor]]
Check = Callable[[SimpleNamespace], Pairs]
