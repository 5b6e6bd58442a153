"""All properties of attention, none of which needs a reference beside it.

`PROPERTIES` lists them in the order in which they are judged, the simplest
first.
"""

from . import bias, decoding, masks, numbers, order

PROPERTIES = (
    *numbers.PROPERTIES,
    *bias.PROPERTIES,
    *masks.PROPERTIES,
    *decoding.PROPERTIES,
    *order.PROPERTIES,
)
