"""The rules for twins, each seen to fail on sources that break it."""

import pytest

from parity_tests.twins.rules import complaints, step_names, steps_of

REFERENCE = '''
MARK = "m"


@dataclass(frozen=True, eq=False)
class Scale:
    weight: Float[Array, " d"]


def scale(
    x: Float[Array, "*batch d"], params: Scale, past: int = 0
) -> Array:
    """Each feature times its weight."""
    scaled = x * params.weight
    y = scaled + past
    return y


def swap(x: Float[Array, "a b"]) -> Float[Array, "b a"]:
    rows, columns = x.shape
    swapped = x.swapaxes(0, 1)
    return swapped


def _helper():
    return 1
'''

TWIN = """
MARK = "m"


class Scale(nn.Module):
    weight: Float[Array, " d"]

    def __init__(self, d: int):
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x: Float[Array, "*batch d"], past: int = 0) -> Array:
        scaled = x * self.weight
        y = scaled + past
        return y


def swap(x: Float[Array, "a b"]) -> Float[Array, "b a"]:
    rows, columns = x.shape
    swapped = x.transpose(0, 1)
    return swapped
"""

# What is changed in the twin, into what, and what is then complained of.
BROKEN = {
    "another name of a function": (
        ("def swap", "def swop"),
        "swap has no twin in torch_impl",
    ),
    "a function more": (
        ("def swap", "def more(x):\n    y = x\n    return y\n\n\ndef swap"),
        "more has no twin in numpy_ref",
    ),
    "a class more": (
        (
            "def swap",
            "class More:\n    def __init__(self): ...\n\n\ndef swap",
        ),
        "More has no twin in numpy_ref",
    ),
    "another axis": (
        ('"a b"', '"a c"'),
        "swap: the signatures differ",
    ),
    "another result": (
        ('-> Float[Array, "b a"]', '-> Float[Array, "b b"]'),
        "swap: the signatures differ",
    ),
    "another default": (
        ("past: int = 0", "past: int = 1"),
        "scale: the signatures differ",
    ),
    "another order of arguments": (
        (
            'x: Float[Array, "*batch d"], past: int = 0',
            'past: int, x: Float[Array, "*batch d"]',
        ),
        "scale: the signatures differ",
    ),
    "another name of a step": (
        ("scaled", "product"),
        "scale: the steps differ",
    ),
    "a step less": (
        ("rows, columns = x.shape", "x.shape"),
        "swap: the steps differ",
    ),
    "another order of steps": (
        (
            "scaled = x * self.weight\n        y = scaled + past",
            "y = x * self.weight + past\n        scaled = y",
        ),
        "scale: the steps differ: ['scaled', 'y'] in numpy_ref, ['y',",
    ),
    "a step taken twice": (
        ("y = scaled + past", "y = scaled\n        y = y + past"),
        "scale: y is assigned more than once",
    ),
    "a step in place": (
        ("y = scaled + past", "y = scaled\n        y += past"),
        "scale: `y += past` hides a step",
    ),
    "an entry overwritten": (
        ("y = scaled + past", "y = scaled\n        y[0] = past"),
        "scale: `y[0] = past` changes a value in place",
    ),
    "a result without a name": (
        ("return swapped", "return swapped + 1"),
        "swap: `return swapped + 1` returns what has no name",
    ),
    "an argument with two meanings": (
        ("y = scaled + past", "x = scaled\n        y = x + past"),
        "scale: x is assigned more than once",
    ),
    "a step with an annotation": (
        ("scaled = x", "scaled: Array = x"),
        "scale: `scaled: Array = x * self.weight` hides a step",
    ),
    "a method that changes its object": (
        ("y = scaled + past", "y = scaled.add_(past)"),
        "scale: `scaled.add_(past)` changes a value in place",
    ),
    "a result written into an argument": (
        ("y = scaled + past", "y = torch.add(scaled, past, out=x)"),
        "scale: `torch.add(scaled, past, out=x)` changes a value in place",
    ),
    "two ways out": (
        ("y = scaled + past", "if past: return x\n        y = scaled"),
        "scale: there is more than one return",
    ),
    "an argument by name only": (
        ('"*batch d"], past: int = 0', '"*batch d"], *, past: int = 0'),
        "scale: its arguments are not plain ones",
    ),
    "another decorator": (
        ("def swap", "@checked\ndef swap"),
        "swap: the decorators differ",
    ),
    "another constant": (
        ('MARK = "m"', 'MARK = "n"'),
        "the constants differ",
    ),
    "another field": (
        ('weight: Float[Array, " d"]', 'weight: Float[Array, " e"]'),
        "the fields of Scale differ",
    ),
}


def test_twins_are_not_complained_of():
    assert complaints("file.py", REFERENCE, TWIN) == []


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_named(broken):
    (old, new), expected = BROKEN[broken]
    assert TWIN.count(old) >= 1
    lines = complaints("file.py", REFERENCE, TWIN.replace(old, new))
    assert any(f"file.py: {expected}" in line for line in lines), lines


GRADIENT = """
def swap_backward(d_swapped: Float[Array, "b a"], x: Float[Array, "a b"]):
    d_x = d_swapped.swapaxes(0, 1)
    return d_x
"""
ABOVE = "    swapped = x.swapaxes(0, 1)\n    return swapped\n"

# What is changed in the gradient, into what, and what is then said of it.
BROKEN_GRADIENTS = {
    "under no step": ("swap_backward", "swop_backward", "does not stand"),
    "before it another's": (
        "d_swapped:",
        "d_swop:",
        '_backward takes ["d_swop',
    ),
    "of another shape": ('"b a"', '"a b"', 'takes ["d_swapped: Float'),
    "without the input": (', x: Float[Array, "a b"]', "", "and should"),
    "a step taken twice": ("    d_x =", "    d_x = 0\n    d_x =", ": d_x"),
}


def test_a_gradient_stands_under_its_step_and_needs_no_twin():
    with_gradient = REFERENCE.replace(ABOVE, ABOVE + GRADIENT)
    assert complaints("file.py", with_gradient, TWIN) == []


@pytest.mark.parametrize("broken", BROKEN_GRADIENTS)
def test_what_is_wrong_with_a_gradient_is_named(broken):
    old, new, expected = BROKEN_GRADIENTS[broken]
    gradient = GRADIENT.replace(old, new)
    reference = REFERENCE.replace(ABOVE, ABOVE + gradient)
    (complaint,) = complaints("file.py", reference, TWIN)
    assert expected in complaint


TWO_RESULTS = """
def split(x: Float[Array, "a b"]) -> tuple[Float[Array, "a b"], Parts]:
    half = x / 2
    parts = half, half
    return half, parts


def split_backward(d_half: Float[Array, "a b"], x: Float[Array, "a b"]):
    d_x = d_half / 2
    return d_x
"""
TWO_THERE = TWO_RESULTS[: TWO_RESULTS.index("def split_backward")]


def test_of_several_results_the_first_has_a_gradient():
    assert complaints("file.py", TWO_RESULTS, TWO_THERE) == []


def test_what_a_step_has_kept_may_come_next_in_its_gradient():
    kept = TWO_RESULTS.replace('b"], x: F', 'b"], parts: Parts, x: F')
    assert kept != TWO_RESULTS
    assert complaints("file.py", kept, TWO_THERE) == []


@pytest.mark.parametrize("name", ["half", "pieces"])
def test_what_was_not_kept_may_not(name):
    wrong = TWO_RESULTS.replace('b"], x: F', f'b"], {name}: Parts, x: F')
    (found,) = complaints("file.py", wrong, TWO_THERE)
    assert "split_backward takes" in found


def test_a_gradient_is_not_above_its_step():
    reference = REFERENCE.replace("def swap", GRADIENT + "\n\ndef swap")
    (complaint,) = complaints("file.py", reference, TWIN)
    assert (
        complaint == "file.py: swap_backward does not stand under its step"
    )


def test_the_names_of_all_kinds_of_assignment_are_steps():
    source = (
        "def f(x):\n    *a, b = x\n    c = [d for d in a]\n    return c"
    )
    assert step_names(steps_of(source)["f"]) == ["a", "b", "c"]
