"""What any correct attention does, found without another one beside it.

The list of all properties (`PROPERTIES`), in the order in which they are
looked at, and which of them a subject can be asked for.
"""

# They put themselves on the list.
from . import numbers as number_properties  # noqa: I001
from . import (
    bias as bias_properties,
    masks as mask_properties,
    order as order_properties,
)
from parity_tests.judge.subject.conventions import ADDED
from .property import PROPERTIES, Property
from parity_tests.judge.subject.protocol import Subject

__all__ = [
    "PROPERTIES",
    "bias_properties",
    "mask_properties",
    "number_properties",
    "offered",
    "order_properties",
]


BOOLEANS = ("True may attend", "True is hidden", "always asked for")


def offered(subject: Subject, one: Property) -> bool:
    """Whether the subject has what a property needs."""
    conventions = subject.conventions
    has = {
        "masks": conventions.takes_masks,
        "free masks": "causal" not in conventions.limits.masks
        or conventions.takes_masks,
        "causal": subject.causal is not None,
        "causal or masks": conventions.takes_masks
        or subject.causal is not None,
        "both at once": conventions.causal_and_mask == "both at once",
        "zeros": conventions.blocked_row == "zeros",
        "no mask": conventions.mask != "always asked for",
        "booleans": conventions.mask in BOOLEANS,
        "numbers": subject.biased is not None,
        "numbers are added": conventions.mask_of_numbers == ADDED,
        "scale": subject.scaled is not None,
        "gradients": subject.backward is not None,
        "two dtypes": len(conventions.limits.dtypes) > 1,
    }
    return all(has[need] for need in one.needs)
