"""What a source says that it means: a causal mask, and what is passed."""

import ast
from textwrap import dedent

import pytest

from parity_tests.judge.candidate.calls import calls_of
from parity_tests.judge.candidate.host import Host
from parity_tests.judge.candidate.literals import literals_of
from parity_tests.judge.candidate.things import (
    Parameter,
    Thing,
    described,
)
from parity_tests.judge.subject.callers import meaning_of, passed_meaning
from parity_tests.judge.subject.intentions import (
    builds_causal_mask,
    is_causal_by_default,
    is_meant_unscaled,
    speaks_of_alibi,
    speaks_of_causal,
)

LIBRARY = """

def triangle(n):
    return (1 - np.tri(n)) * -1e-10


def attend(x, mask):
    return x + mask


def in_place(x):
    return attend(x, np.triu(x, 1))


def by_a_helper(x):
    return attend(x, triangle(len(x)))


def by_a_name(x):
    look_ahead_mask = x > 0
    return attend(x, look_ahead_mask)


def on_a_condition(x, mask=None):
    if mask is None:
        mask = np.tril(x)
    return attend(x, mask)


def with_a_switch(x, causal):
    return attend(x, np.tril(x) * causal)


def not_at_all(x, mask):
    return attend(x, mask)


class Layer:
    def __init__(self, n):
        self.hidden = np.tril(n)

    def forward(self, x):
        return attend(x, self.hidden)


class Around:
    def __init__(self, n):
        self.layer = Layer(n)

    def forward(self, x):
        return self.layer.forward(x)


class Unused:
    def __init__(self, n):
        self.n = n

    def mask(self, n):
        return np.tril(n)

    def forward(self, x):
        return x * self.n
"""


@pytest.fixture
def library(tmp_path) -> dict[str, Thing]:
    path = tmp_path / "library.py"
    path.write_text(LIBRARY)
    things = Host().load(str(path), 20)["things"]
    return {thing.name: thing for thing in things}


def test_a_causal_mask_is_built_in_any_of_these_ways(library):
    built = {n for n, each in library.items() if builds_causal_mask(each)}
    assert built == {
        *("triangle", "in_place", "by_a_helper", "by_a_name"),
        *("Layer", "Around"),
    }
    assert not builds_causal_mask(library["Layer"], when_built=False)


def test_a_source_that_is_cut_builds_nothing():
    source = "def attend(x):\n    return np.tri("
    assert not builds_causal_mask(
        Thing("attend", "function", source=source)
    )


@pytest.mark.parametrize(
    ("line", "speaks"),
    [
        ("hidden = i < j  # causal", True),
        ("# a look-ahead mask", True),
        ("# hide future tokens", True),
        ("# bidirectional: no causal mask", False),
        ("sdpa(q, k, v, is_causal=False)", False),
        ("# non-causal", False),
        ("weights = softmax(scores)", False),
    ],
)
def test_a_source_speaks_of_a_causal_mask(line, speaks):
    thing = Thing("attend", "function", source=f"def attend(x):\n  {line}")
    assert speaks_of_causal(thing) == speaks


@pytest.mark.parametrize(
    ("signature", "line", "speaks"),
    [
        ("x", "self.slopes = slopes_of(heads)", True),
        ("x", "scores = scores + self.alibi_bias(n)", True),
        ("x", "# Each head has a slope of its own.", True),
        ("x", "leaky_relu(x, negative_slope=0.2)", False),
        ("x, alibi=None", "scores = scores + alibi", False),
        ("x", "return x", False),
    ],
)
def test_a_source_speaks_of_linear_biases(signature, line, speaks):
    source = f"def attend({signature}):\n  {line}"
    names = [each.split("=")[0].strip() for each in signature.split(",")]
    parameters = tuple(Parameter(name) for name in names)
    thing = Thing("attend", "function", parameters, source=source)
    assert speaks_of_alibi(thing) == speaks


@pytest.mark.parametrize(
    ("passed", "meaning"),
    [
        ("(tokens != PAD).long()", "attends"),
        ("tokens.ne(0)", "attends"),
        ("tokens == PAD", "hidden"),
        ("~(tokens == PAD)", "attends"),
        ("1 - np.tril(np.ones((n, n)))", "hidden"),
        ("batch['attention_mask']", "attends"),
        ("np.where(tokens == 0, -np.inf, 0)", "added"),
        ("mask", None),
        ("(tokens != PAD) & (tokens == EOS)", None),
    ],
)
def test_what_is_passed_tells_what_a_mask_means(passed, meaning):
    assert meaning_of(passed) == meaning


def calls(source: str) -> dict[str, tuple[str, ...]]:
    return calls_of([ast.parse(dedent(source))])


def test_calls_are_found_with_what_names_stand_for():
    found = calls("""
        seen = tokens != PAD
        layer = Layer(8)
        out = layer(x, mask=seen)
        out = layer.forward(x, None)
        attend(x, seen)
    """)
    assert found["Layer()"] == (
        "layer(x, mask=tokens != PAD)",
        "layer.forward(x, None)",
    )
    assert found["attend"] == ("attend(x, tokens != PAD)",)


def literals(source: str) -> dict[str, object]:
    return literals_of([ast.parse(dedent(source))])


def test_literals_are_found_by_name_also_under_the_guard():
    found = literals("""
        @dataclass
        class Config:
            theta: float = 1e4
            window: int

        SIZES = {"buckets": 32, 3: 4, "later": width}
        if __name__ == "__main__":
            cfg = SimpleNamespace(tied=True, text="a", none=None, x=f(2))
            cfg.offset = -1
            cfg["bound"] = 2
            parser.add_argument("--clip-at", type=float, default=5.0)
    """)
    assert found.pop("type", None) is None
    assert found == {
        "theta": 1e4,
        "buckets": 32,
        "tied": True,
        "text": "a",
        "none": None,
        "offset": -1,
        "bound": 2,
        "clip_at": 5.0,
    }


def test_of_two_literals_the_first_in_the_file_is_taken():
    assert literals("f(base=1)\nclass A:\n    base = 2") == {"base": 1}
    assert literals("class A:\n    base = 2\nf(base=1)") == {"base": 2}


def test_calls_that_contradict_each_other_tell_nothing():
    def attend(x, mask): ...

    thing = described("attend", attend)
    for texts, meaning in [
        (("attend(x, a != 0)", "attend(x, mask=b.ne(0))"), "attends"),
        (("attend(x, a != 0)", "attend(x, a == 0)"), None),
        (("attend(x, None)", "attend(x)", "attend(*a)"), None),
    ]:
        fields = vars(thing) | {"calls": texts}
        assert passed_meaning(Thing(**fields), "mask") == meaning


@pytest.mark.parametrize(
    ("source", "is_so"),
    [
        ("if mask is None:\n    mask = torch.tril(ones)", True),
        ("if mask is None: mask = causal_mask(n)", True),
        ("if mask is None:\n    mask = torch.ones(n, n)", False),
        ("if mask is not None:\n    mask = mask & torch.tril(ones)", False),
        ("if hidden is None:\n    hidden = torch.triu(ones)", False),
    ],
)
def test_a_causal_mask_may_be_that_where_none_is_passed(source, is_so):
    assert is_causal_by_default(source, "mask") is is_so


@pytest.mark.parametrize(
    "said",
    [
        "no scaling, as in the paper",
        "scores are not scaled",
        "there is no 1/sqrt(d) here",
        "unscaled dot products",
    ],
)
def test_scores_may_be_said_to_be_unscaled(said):
    source = f"class Heads:\n    pass  # {said}\n"
    assert is_meant_unscaled(Thing("Heads", "class", source=source))
    assert is_meant_unscaled(Thing("Heads", "class", doc=said))
    code = f"class Heads:\n    said = {said!r}\n"
    assert not is_meant_unscaled(Thing("Heads", "class", source=code))


@pytest.mark.parametrize(
    "said",
    [
        "without scaling, the softmax would saturate",
        "never forget to scale the scores",
        "no scaling needed: the library scales",
        "not yet scaled",
        "scaled by 1/sqrt(d)",
    ],
)
def test_what_is_said_of_a_scale_does_not_take_it_away(said):
    source = f"class Heads:\n    pass  # {said}\n"
    assert not is_meant_unscaled(Thing("Heads", "class", source=source))


def test_t5_has_its_scale_in_its_first_weights():
    assert is_meant_unscaled(Thing("T5Attention", "class"))
    source = "class Heads:\n    width = config.d_kv\n"
    assert is_meant_unscaled(Thing("Heads", "class", source=source))
