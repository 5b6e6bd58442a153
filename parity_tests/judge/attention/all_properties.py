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

# What can be asked of a function of 16 bits, whose bounds are wide.
IN_16_BITS = tuple(
    each
    for each in PROPERTIES
    if each.name
    in (
        "equals_the_definition",
        "sizes_beyond_a_tile_are_no_different",
        "called_twice_it_returns_the_same",
        "answers_do_not_depend_on_calls_before",
    )
)
