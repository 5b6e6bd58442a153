"""The attention of real models: read, measured, drawn.

>>> from bert_viz import attend
>>> attention = attend("A cat sat.", "It slept.")      # doctest: +SKIP
>>> attention.weights.shape                            # doctest: +SKIP
(6, 12, 10, 10)
"""

from .attending import attend, attend_all
from .attention import Attention, from_arrays

__all__ = ["Attention", "attend", "attend_all", "from_arrays"]
