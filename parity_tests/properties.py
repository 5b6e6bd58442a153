"""What any correct attention does, found without another one beside it.

The list of all properties (`PROPERTIES`), in the order in which they are
looked at, and which of them a subject can be asked for.
"""

# They put themselves on the list.
from . import number_properties  # noqa: I001
from . import mask_properties, order_properties
from .judged_attention import PROPERTIES, Property
from .subject import Subject

__all__ = [
    "PROPERTIES",
    "mask_properties",
    "number_properties",
    "offered",
    "order_properties",
]


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
        "scale": subject.scaled is not None,
        "gradients": subject.backward is not None,
        "two dtypes": len(conventions.limits.dtypes) > 1,
    }
    return all(has[need] for need in one.needs)
