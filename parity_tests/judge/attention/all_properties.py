"""All properties of attention, none of which needs a reference beside it.

`PROPERTIES` lists them in the order in which they are judged; `applies`
says which of them a subject can be judged by.
"""

# Importing them puts them on the list.
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
    "applies",
    "bias_properties",
    "mask_properties",
    "number_properties",
    "order_properties",
]


BOOLEANS = ("True may attend", "True is masked", "required")


def applies(subject: Subject, tested: Property) -> bool:
    """Whether the subject has what a property needs."""
    conventions = subject.conventions
    offers = {
        "masks": conventions.takes_masks,
        "free masks": "causal" not in conventions.limits.masks
        or conventions.takes_masks,
        "causal": subject.causal is not None,
        "causal or masks": conventions.takes_masks
        or subject.causal is not None,
        "both at once": conventions.causal_and_mask == "both at once",
        "zeros": conventions.fully_masked_row == "zeros",
        "no mask": conventions.mask != "required",
        "booleans": conventions.mask in BOOLEANS,
        "numbers": subject.biased is not None,
        "numbers are added": conventions.mask_of_numbers == ADDED,
        "scale": subject.scaled is not None,
        "gradients": subject.backward is not None,
        "two dtypes": len(conventions.limits.dtypes) > 1,
    }
    return all(offers[need] for need in tested.needs)
