"""State and address: each is recovered from the other."""

import re
from string import printable

from hypothesis import example, given
from hypothesis import strategies as st

from .cases import script as script

LIMITS = {
    "layers": 3,
    "heads": 13,
    "tokens": 9,
    "dimensions": 5,
    "metrics": ["[CLS]", "same token", "é & ß=2, #1+%"],
    "patterns": ["self", "other text"],
}
HEADS = st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True)
STATES = st.fixed_dictionaries(
    {
        "view": st.sampled_from(["model", "head", "neuron", "metrics"]),
        "layer": st.integers(0, 2),
        "heads": HEADS,
        "several": st.booleans(),
        "head": st.none() | st.integers(0, 12),
        "token": st.none() | st.integers(0, 8),
        "query": st.none() | st.integers(0, 8),
        "key": st.none() | st.integers(0, 8),
        "dimension": st.integers(0, 4),
        "lines": st.sampled_from(["five", "half", "least"]),
        "threshold": st.floats(0, 1),
        "special": st.booleans(),
        "words": st.booleans(),
        "between": st.sampled_from(["all", "ab", "ba", "aa", "bb"]),
        "text": st.sampled_from(["both", "first", "second", "difference"]),
        "sort": st.sampled_from(["model", "link", *LIMITS["metrics"]]),
        "ascending": st.booleans(),
        "least": st.none() | st.floats(-1e9, 1e9),
        "pattern": st.sampled_from(["", *LIMITS["patterns"]]),
        "theme": st.sampled_from(["auto", "light", "dark"]),
    }
)
READ = "stateOf(fragment, limits)"


@given(STATES)
def test_a_state_is_recovered_from_its_address(script, state):
    if not state["several"]:
        state["heads"] = state["heads"][:1]
    fragment = script("fragmentOf(state)", state=state)
    assert not re.search(r"[\s<>\"#]", fragment)
    for address in (fragment, f"#{fragment}"):
        assert script(READ, fragment=address, limits=LIMITS) == state


PIECES = st.sampled_from(
    [*printable, *"é\u2028\ud800", "&", "=", "%", "heads=", "1e999", "-1"]
    + [f"&{name}=" for name in ("layer", "heads", "least", "__proto__")]
    + ["constructor=1", "&threshold=Infinity", "&threshold=", "%00", "%ff"]
)


@given(st.lists(PIECES, max_size=30).map("".join))
@example("constructor=1&__proto__=2&toString=3")
@example("layer=-1&layer=3&least=1e999&threshold=&heads=,&view=%ff")
def test_every_address_leads_to_a_valid_state(script, fragment):
    state = script(READ, fragment=fragment, limits=LIMITS)
    start = script("DEFAULTS")
    assert state.keys() == start.keys()
    assert {*state["heads"]} <= {*range(13)}
    assert state["heads"]
    assert state["layer"] in range(3)
    assert state["query"] in (None, *range(9))
    assert 0 <= state["threshold"] <= 1
    assert state["sort"] in ("model", "link", *LIMITS["metrics"])
    assert state["least"] is None or abs(state["least"]) <= 1e9
    assert (
        script(
            "stateOf(fragmentOf(state), limits)", state=state, limits=LIMITS
        )
        == state
    )


def test_a_wrong_part_of_an_address_is_ignored_alone(script):
    fragment = "view=nothing&layer=3&heads=99,2&several=1&query=9&key=8"
    state = script(READ, fragment=fragment, limits=LIMITS)
    start = script("DEFAULTS")
    assert state == start | {"heads": [2], "several": True, "key": 8}


def test_of_several_heads_one_is_shown_and_without_a_choice_the_first(
    script,
):
    for heads, head, shown in (
        ([1, 3], 3, 3),
        ([1, 3], 2, 1),
        ([4], None, 4),
    ):
        state = {"heads": heads, "head": head}
        assert script("headOf(state)", state=state) == shown


def test_a_minimum_in_an_address_is_the_rule_of_its_lines(script):
    """As in links that are older than other rules."""
    for fragment, lines in (
        ("view=head", "five"),
        ("view=head&threshold=0.2", "least"),
        ("threshold=0.2&lines=half", "half"),
    ):
        state = script(READ, fragment=fragment, limits=LIMITS)
        assert state["lines"] == lines
