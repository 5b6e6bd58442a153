"""The activation is applied to the product, not to the gate alone.

Origin: Nijikadesu/breakdown-minimind issue 3, a bracket in a notebook.

Cause: the activation comes after the product
"""

import numpy as np


def swiglu(x, params):
    """A feed-forward network with a gate."""
    gate, up = x @ params.gate.weight.T, x @ params.up.weight.T
    product = gate * up
    return product / (1 + np.exp(-product)) @ params.down.weight.T
