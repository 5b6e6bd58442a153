"""The page without a browser: what is in it, and what its scripts compute.

The scripts that need no page around them (`PURE_MODULES`) run in an
engine of their own; what they come to is held against Python's numbers.
Only inflating is a browser's, and is Python's here.
"""

import errno
import json
import re
import zlib
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from string import printable

import numpy as np
import pytest
import quickjs
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bert_viz import from_arrays, page
from bert_viz.metric_table import metric_table
from bert_viz.norms import norm_shares, norms
from bert_viz.packing import ERROR, pack_floats, pack_weights, unpack
from bert_viz.page import PURE_MODULES, joined_modules, page_of, write_page
from bert_viz.page_data import as_json, page_data
from bert_viz.patterns import heads_of, named_heads
from bert_viz.words import joined
from numpy_ref.attention import attention_scores, masked_softmax
from numpy_ref.layers import Linear
from numpy_ref.masks import causal_mask

from .bounds import (
    Bounded,
    Rounding,
    distribution,
    scaled_scores,
    weighted_mean,
)
from .comparing import Comparison, within
from .conftest import expect_holds

D_HEAD = 4
WORDS = ("[CLS]", "a", "por", "##tra", "##it", "of", "a", ".", "[SEP]")
PAIR = (
    "[CLS]",
    "who",
    "paint",
    "##ed",
    "?",
    "[SEP]",
    "she",
    "did",
    "[SEP]",
)
SEGMENTS = np.array([0] * 6 + [1] * 3)
GPT2_WORDS = (" The", " cat", "s", " sat", " down", "ward")
HOSTILE = (
    *("[CLS]", "</script>", "<!--", "<img src=x onerror=alert(1)>"),
    *("\u2028", "\u202eleft", "{{style}}", "__proto__", "\ud800", "\x00"),
    *("", "a\r\nb", "]]>", "&lt;b&gt;", "\"quo'tes`${1}", "x" * 9999),
)


def attention_of(
    tokens=WORDS, layers=2, heads=3, seed=0, scale=1.5, **given
):
    """Random queries, keys and values, and all that follows from them."""
    causal = given.pop("causal", False)
    generator = np.random.default_rng(seed)
    count = len(tokens)
    shape = layers, heads, count, D_HEAD
    queries, keys, values = (
        generator.normal(scale=scale, size=shape).astype(np.float32)
        for _ in range(3)
    )
    mask = causal_mask(count, count) if causal else np.ones((1, 1), bool)
    outputs = tuple(
        Linear(generator.normal(size=(5, heads * D_HEAD)), np.zeros(5))
        for _ in range(layers)
    )
    vectors = {"queries": queries, "keys": keys, "values": values}
    return from_arrays(
        tokens,
        masked_softmax(attention_scores(queries, keys), mask),
        **{"outputs": outputs, **vectors, **given},
    )


ATTENTION = attention_of(about="six random heads")
OTHER = attention_of(seed=1, about="six random heads")
OF_A_PAIR = attention_of(PAIR, segments=SEGMENTS)
CAUSAL = attention_of(GPT2_WORDS, causal=True)
TEXTS = {"words": ATTENTION, "pair": OF_A_PAIR, "causal": CAUSAL}
BOTH_SIDES = "Python", "JavaScript"


@pytest.fixture(params=TEXTS)
def attention(request):
    return TEXTS[request.param]


# --- the scripts, in an engine of their own -------------------------------

# In place of a browser's streams, which inflate.
STREAMS = """
const DecompressionStream = Object;
class Blob {
  constructor([bytes]) { this.bytes = bytes; }
  stream() { return { pipeThrough: () => this.bytes }; }
}
class Response {
  constructor(bytes) { this.bytes = bytes; }
  async arrayBuffer() {
    return new Uint8Array(JSON.parse(inflate(this.bytes.join()))).buffer;
  }
}
"""
# All exports by their names, and what texts the page would hold.
NAMES = """
const { unpack, bytesOf, floatsOf } = $unpacking;
const { shownUnits } = $selecting;
const { panelsOf, refusal, matrixOf } = $panels;
const { arithmeticOf } = $arithmetic;
const { normsOf } = $norms;
const { rankedHeads, valuesOf, foremost } = $ranking;
const { linesOf, strongest, pooled, rowHeight } = $layout;
const { summaryOf, visible } = $telling;
const { colourOfWeight, colourOfDifference } = $colours;
const { colourOfHead, pixelsOf } = $colours;
const { markOf } = $marks;
const { DEFAULTS, stateOf, fragmentOf } = $state;
const { scene, svgOf, escaped } = $scene;
const { csvOf } = $csv;
let data = null;
const plain = (sentence) => sentence.map((part) =>
  part.number || (part.token ? visible(part.token) : part)).join("");
"""


def inflate(numbers: str) -> str:
    """The bytes, or none: an error from here would end the process."""
    try:
        found = zlib.decompress(bytes(map(int, numbers.split(","))))
    except zlib.error:
        found = b""
    return json.dumps([*found])


class Engine:
    """The page's own functions, called with Python's values."""

    def __init__(self):
        self.context = quickjs.Context()
        self.context.add_callable("inflate", inflate)
        pure = joined_modules(PURE_MODULES)
        self.context.eval(STREAMS + pure + NAMES)

    def __call__(self, expression: str, **values):
        """What an expression comes to, `values` being names in it."""
        given = ", ".join(json.dumps(value) for value in values.values())
        found = self.context.eval(
            f"JSON.stringify((({', '.join(values)}) => "
            f"({expression}))({given}))"
        )
        return json.loads(found)

    def unpacked(self, packed) -> list:
        """What the page reads out of an array."""
        self.context.eval(
            f"var numbers; unpack({json.dumps(packed)})"
            ".then((found) => { numbers = Array.from(found); });"
        )
        self.settle()
        return self("numbers")

    def hold(self, attention, other=None) -> None:
        """Hold the data of a page, its arrays unpacked."""
        data = as_json(page_data(attention, other, (0,)))
        self.context.eval(
            f"data = {data}; for (const text of data.texts)"
            "for (const one of [text.weights, text.value_norms])"
            "if (one) unpack(one);"
        )
        self.settle()

    def settle(self) -> None:
        while self.context.execute_pending_job():
            pass


@pytest.fixture(scope="module")
def script():
    return Engine()


def state_of(**changes) -> dict:
    """The page's own state at the start, with some of it changed."""
    shown = {"special": True, "words": False, "between": "all"}
    order = {"sort": "place", "ascending": False}
    order |= {"least": None, "pattern": ""}
    return shown | order | {"layer": 0, "heads": [0]} | changes


def compared(name, ours, found, error) -> Comparison:
    """An array of Python's and the page's, and how far it may be."""
    found = np.asarray(found, np.float64).reshape(np.shape(ours))
    bound = np.broadcast_to(error, found.shape)
    return within(f"page/{name}", np.asarray(ours), found, bound)


def expect_near(name, ours, found, error) -> None:
    """For what 8 bits made wide, and so is not counted with the others."""
    comparison = compared(name, ours, found, error)
    assert comparison.holds, str(comparison)


# --- packing --------------------------------------------------------------

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
SHARES = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        SHAPES,
        elements={"min_value": 0, "max_value": 1},
        fill=st.nothing(),
    )
)
FLOATS = hnp.arrays(
    np.float32,
    SHAPES,
    elements={"allow_nan": False, "allow_infinity": False},
    fill=st.nothing(),
)


@given(SHARES)
def test_weights_come_back_within_half_a_step(weights):
    packed = pack_weights(weights)
    found = unpack(packed)
    assert packed["error"] == ERROR == 1 / 510
    assert found.shape == weights.shape == tuple(packed["shape"])
    u = np.finfo(weights.dtype).eps  # of the product that is rounded
    assert abs(found - weights).max(initial=0) <= ERROR + u


@given(FLOATS)
def test_float32_comes_back_to_the_last_bit(numbers):
    packed = pack_floats(numbers)
    found = unpack(packed)
    assert (packed["error"], found.dtype) == (0, np.float32)
    assert found.shape == numbers.shape == tuple(packed["shape"])
    np.testing.assert_array_equal(
        found.view(np.uint32), numbers.view(np.uint32)
    )


def test_a_view_with_odd_strides_is_packed_like_its_copy():
    view = ATTENTION.queries[::-1, :, 1::3].swapaxes(0, 2)
    assert pack_floats(view) == pack_floats(view.copy())
    weights = ATTENTION.weights[..., ::-2].swapaxes(1, 3)
    assert pack_weights(weights) == pack_weights(weights.copy())


def test_float64_says_what_it_lost():
    numbers = np.random.default_rng(0).normal(size=(3, 5))
    packed = pack_floats(numbers)
    lost = abs(unpack(packed).astype(np.float64) - numbers).max()
    assert 0 < packed["error"] == lost < 1e-6


@pytest.mark.parametrize("wrong", [np.nan, -0.01, 1.01, np.inf])
def test_what_is_no_weight_is_refused(wrong):
    with pytest.raises(ValueError, match="weights from 0 to 1, got"):
        pack_weights(np.array([0.5, wrong]))


@given(SHARES, FLOATS)
def test_the_page_unpacks_what_python_packs(script, weights, numbers):
    steps = script.unpacked(pack_weights(weights))
    np.testing.assert_array_equal(
        np.array(steps).reshape(weights.shape) / 255,
        unpack(pack_weights(weights)),
    )
    found = np.array(script.unpacked(pack_floats(numbers)), np.float32)
    np.testing.assert_array_equal(found.reshape(numbers.shape), numbers)


@given(st.binary(max_size=40))
def test_the_page_reads_base64(script, content):
    text = b64encode(content).decode()
    found = script("Array.from(bytesOf(text))", text=text)
    assert bytes(found) == content


# --- the page as a file ---------------------------------------------------


class Reader(HTMLParser):
    """The elements of a page in order, and the text inside of each."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.within = [], {}, 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.within = len(self.elements)

    def handle_endtag(self, tag):
        self.within = 0

    def handle_data(self, text):
        self.texts[self.within] = self.texts.get(self.within, "") + text

    def inside(self, tag: str, **asked) -> list[str]:
        return [
            self.texts.get(at, "")
            for at, (name, has) in enumerate(self.elements, 1)
            if name == tag and asked.items() <= has.items()
        ]


def read_data(text: str) -> dict:
    (data,) = Reader(text).inside("script", type="application/json")
    return json.loads(data)


def without_data(text: str) -> str:
    (data,) = Reader(text).inside("script", type="application/json")
    return text.replace(data, "")


def test_the_page_has_its_data_style_and_one_script():
    text = page_of(ATTENTION, OTHER, (1,), "view=head")
    data = page_data(ATTENTION, OTHER, (1,)) | {"start": "view=head"}
    assert read_data(text) == json.loads(json.dumps(data))
    found = Reader(text)
    assert found.inside("script", type="module") == [
        joined_modules(page.MODULES)
    ]
    assert found.inside("style") == [page.page_file("style.css")]
    assert "{{" not in without_data(text)


def test_the_page_names_nothing_outside_of_it():
    text = page_of(ATTENTION)
    rest = without_data(text).replace("http://www.w3.org/2000/svg", "")
    rest = re.sub("'sha256-[^']+'", "", rest)  # base64 may have a //
    assert not re.findall(r"(?i)\bhttps?:.*|//(?=[^\s]).*", rest)
    data = read_data(text)
    (shown,) = data["texts"]
    del shown["weights"], shown["value_norms"], shown["neuron"]
    assert not re.findall(r"(?i)https?:.*|//.*", json.dumps(data))
    found = Reader(text)
    addresses = [
        has[name]
        for _, has in found.elements
        for name in ("src", "href", "action", "data", "srcset")
        if name in has
    ]
    assert addresses == ["#"]
    style = page.page_file("style.css")
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize(
    "way",
    [
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"),
        *("eval(", "new Function", "import(", "fetch(", "XMLHttpRequest"),
        *("WebSocket", "EventSource", "sendBeacon", "DOMParser", "Worker("),
        *("createContextualFragment", "localStorage", "cookie"),
    ],
)
def test_no_script_reads_html_runs_text_or_asks_outside(way):
    assert way not in joined_modules(page.MODULES)


def fingerprint(text: str) -> str:
    digest = b64encode(sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def test_the_policy_fits_what_is_inlined_and_allows_nothing_else():
    found = Reader(page_of(ATTENTION))
    (policy,) = [
        has["content"]
        for tag, has in found.elements
        if has.get("http-equiv") == "Content-Security-Policy"
    ]
    allowed = dict(
        directive.split(maxsplit=1) for directive in policy.split("; ")
    )
    (script,) = found.inside("script", type="module")
    (style,) = found.inside("style")
    assert allowed["default-src"] == "'none'"
    assert allowed["script-src"] == fingerprint(script)
    assert allowed["style-src"] == fingerprint(style)
    assert allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert "connect-src" not in allowed
    inline = {"style", "onclick", "onload", "onerror"}
    assert not any(inline & {*has} for _, has in found.elements)


def test_the_same_attention_gives_the_same_bytes(tmp_path):
    for name in ("one.html", "again.html"):
        write_page(tmp_path / name, attention_of(), attention_of(seed=2))
    one, again = (path.read_bytes() for path in tmp_path.iterdir())
    assert one == again


def test_hostile_tokens_stay_inside_of_the_json():
    about = "</title><script>alert(1)</script>"
    hostile = attention_of(HOSTILE, about=about)
    text = page_of(hostile, hostile, start="</script><script>")
    assert Reader(text).elements == Reader(page_of(ATTENTION)).elements
    found = read_data(text)
    assert [one["tokens"] for one in found["texts"]] == [[*HOSTILE]] * 2
    assert Reader(text).inside("title") == [f"Attention: {about}"]
    (data,) = Reader(text).inside("script", type="application/json")
    assert "<" not in data
    assert data.isascii()


def test_a_part_of_a_page_in_a_module_is_not_filled_in():
    found = read_data(page_of(attention_of(("{{data}}", "{{script}}"))))
    assert found["texts"][0]["tokens"] == ["{{data}}", "{{script}}"]


def test_a_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    write_page(path, ATTENTION)
    before = path.read_bytes()
    assert before.decode() == page_of(ATTENTION)
    write = Path.write_bytes

    def half(self, data):
        write(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(ValueError, match=r"page\.html: No space left"):
        write_page(path, OTHER)
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["missing/page.html", "."])
def test_a_place_where_nothing_can_be_written_is_named(tmp_path, name):
    with pytest.raises(
        ValueError, match="expected a place for a page, got"
    ):
        write_page(tmp_path / name, ATTENTION)


@pytest.mark.parametrize(
    "other",
    [attention_of(about="another"), attention_of(heads=4)],
    ids=["another name", "another shape"],
)
def test_two_models_do_not_fit_on_one_page(other, tmp_path):
    mine = attention_of(about=from_arrays.__defaults__[0])
    with pytest.raises(ValueError, match="two texts of one model, got"):
        write_page(tmp_path / "page.html", mine, other)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("layer", [-1, 2])
def test_a_layer_that_there_is_not_is_named(layer):
    with pytest.raises(ValueError, match="layer from 0 to 1, got"):
        page_of(ATTENTION, neuron_layers=(0, layer))


@pytest.mark.parametrize("missing", ["queries", "keys", "values"])
def test_without_one_of_three_there_is_no_arithmetic(missing):
    found = read_data(page_of(attention_of(**{missing: None})))
    assert found["texts"][0]["neuron"] is None


def test_values_of_another_width_are_refused():
    values = np.ones((2, 3, len(WORDS), D_HEAD + 1), np.float32)
    with pytest.raises(ValueError, match="of one width, got 4, 4, 5"):
        page_of(attention_of(values=values, outputs=None))


def test_one_token_words_and_weights_alone_have_a_page():
    alone = from_arrays(["a"], np.ones((1, 2, 1, 1)))
    words = joined(ATTENTION)
    left = ATTENTION.without_special()
    for one in (alone, words, left):
        found = read_data(page_of(one))["texts"][0]
        assert found["tokens"] == [*one.tokens]
        assert found["rows"] == one.rows


# --- one query of one head ------------------------------------------------

ARITHMETIC = """(() => {
  const floats = (name) => new Float32Array(vectors[name]);
  return arithmeticOf({
    tokens: vectors.tokens, size: vectors.size, queries: floats("queries"),
    keys: floats("keys"), values: floats("values"),
  }, head, query, causal);
})()"""


def arithmetic_of(script, attention, layer, head, query) -> dict:
    vectors = {
        name: getattr(attention, name)[layer].ravel().tolist()
        for name in ("queries", "keys", "values")
    } | {"tokens": len(attention.tokens), "size": D_HEAD}
    found = script(
        ARITHMETIC,
        vectors=vectors,
        head=head,
        query=query,
        causal=attention.causal,
    )
    return {
        name: np.array(numbers) if isinstance(numbers, list) else numbers
        for name, numbers in found.items()
    }


def one_query(attention, layer, head, query):
    """Its query, the keys and the values, in 64 bits."""
    arrays = attention.queries, attention.keys, attention.values
    q, k, v = (array[layer, head].astype(np.float64) for array in arrays)
    return q[query : query + 1], k, v


@pytest.mark.parametrize(("head", "query"), [(0, 0), (1, 2), (2, 5)])
def test_products_sums_and_scores_are_those_of_64_bits(
    script, attention, head, query
):
    found = arithmetic_of(script, attention, 1, head, query)
    q, k, v = one_query(attention, 1, head, query)
    for name, expected in {"query": q[0], "keys": k, "values": v}.items():
        np.testing.assert_array_equal(found[name], expected)
    # A product of two float32 has no rounding in 64 bits; sums are taken
    # from the first to the last, and a root is rounded as it must be.
    np.testing.assert_array_equal(found["products"], q * k)
    sums = np.cumsum(q * k, axis=-1)[:, -1]
    np.testing.assert_array_equal(found["sums"], sums)
    np.testing.assert_array_equal(found["scores"], sums / np.sqrt(D_HEAD))


@pytest.mark.parametrize(("head", "query"), [(0, 0), (1, 2), (2, 5)])
def test_the_arithmetic_of_a_query_is_the_references(
    script, attention, head, query
):
    found = arithmetic_of(script, attention, 1, head, query)
    q, k, v = one_query(attention, 1, head, query)
    count = len(attention.tokens)
    mask = np.arange(count)[None] <= (query if attention.causal else count)
    np.testing.assert_array_equal(found["allowed"], mask[0])
    scores = attention_scores(q, k)
    weights = masked_softmax(scores, mask)
    query_key = Bounded.exactly(q, q), Bounded.exactly(k, k)
    score_bound = scaled_scores(*query_key)
    bound = distribution(score_bound, mask)
    output = weighted_mean(bound, Bounded.exactly(v, v))
    for name, ours, exact in (
        ("scores", scores, score_bound),
        ("weights", weights, bound),
        ("output", weights @ v, output),
    ):
        comparison = compared(
            name, ours[0], found[name], 2 * exact.error[0]
        )
        expect_holds("the page's arithmetic", comparison)
    # What the page shows along the way is made of what it shows.
    allowed = found["scores"][mask[0]]
    assert found["largest"] == allowed.max()
    powers = np.where(mask[0], np.exp(found["scores"] - allowed.max()), 0)
    np.testing.assert_allclose(found["powers"], powers, rtol=1e-14)
    assert found["total"] == np.cumsum(found["powers"])[-1]
    weighted = found["weights"][:, None] * v
    np.testing.assert_array_equal(found["weighted"], weighted)
    np.testing.assert_array_equal(
        found["output"], np.cumsum(weighted, axis=0)[-1]
    )
    np.testing.assert_array_equal(
        found["weights"], found["powers"] / found["total"]
    )
    assert (found["weights"][~mask[0]] == 0).all()


# --- words, special tokens, pairs -----------------------------------------


def matrix_of(script, layer=0, head=0, panel="first", **changes) -> dict:
    return script(
        "(({ weights, queries, keys, errors }) => ({ errors, weights: "
        "Array.from(weights), keys: keys.map((unit) => unit.token), "
        "queries: queries.map((unit) => unit.token) }))(matrixOf("
        "panelsOf(data, panel)[0], layer, head, options))",
        panel=panel,
        layer=layer,
        head=head,
        options=state_of(**changes),
    )


def expect_weights(found, weights, pieces):
    """Within the error that each column says, of as many pieces."""
    errors = np.array(pieces) / 510
    assert np.allclose(found["errors"], errors, rtol=1e-12, atol=0)
    # Float32 sums of steps: a rounding for each step that is added.
    roundings = len(ATTENTION.tokens) ** 2
    u = Rounding.of(np.float32).gamma(roundings)
    expect_near("weights", weights, found["weights"], errors + u)


def pieces_of(attention, words: bool, special: bool) -> list[int]:
    """Of how many tokens each unit is."""
    numbers = page_data(attention, None, ())["texts"][0]["words"]
    units = np.array(numbers) if words else np.arange(len(numbers))
    kept = units[special | ~attention.special]
    return np.unique(kept, return_counts=True)[1].tolist()


@pytest.mark.parametrize("words", [False, True], ids=["pieces", "words"])
@pytest.mark.parametrize("special", [True, False], ids=["all", "hidden"])
def test_words_and_special_tokens_are_as_in_python(
    script, attention, words, special
):
    script.hold(attention)
    expected = joined(attention) if words else attention
    if not special:
        expected = expected.without_special()
    pieces = pieces_of(attention, words, special)
    for layer, head in ((0, 0), (1, 2)):
        found = matrix_of(script, layer, head, words=words, special=special)
        assert found["keys"] == found["queries"] == [*expected.tokens]
        expect_weights(found, expected.weights[layer, head], pieces)


def test_a_piece_that_begins_a_word_is_named_as_in_python(script):
    cut = attention_of(("[CLS]", "##ing", "##s", "a", "[SEP]"))
    script.hold(cut)
    found = matrix_of(script, words=True)
    assert found["keys"] == [*joined(cut).tokens]


@pytest.mark.parametrize("between", ["all", "aa", "ab", "ba", "bb"])
def test_of_a_pair_the_segments_that_are_asked_for(script, between):
    script.hold(OF_A_PAIR)
    found = matrix_of(script, between=between)
    sides = {"a": SEGMENTS == 0, "b": SEGMENTS == 1}
    every = np.ones(len(PAIR), bool)
    rows, columns = (
        (every, every) if between == "all" else (sides[s] for s in between)
    )
    tokens = np.array(PAIR)
    assert found["queries"] == tokens[rows].tolist()
    assert found["keys"] == tokens[columns].tolist()
    expected = OF_A_PAIR.weights[0, 0][rows][:, columns]
    expect_weights(found, expected, [1] * columns.sum())


def test_of_one_text_no_segment_is_left_out(script):
    script.hold(ATTENTION)
    assert matrix_of(script, between="ab")["keys"] == [*WORDS]


def test_a_difference_is_second_minus_first_with_both_errors(script):
    script.hold(ATTENTION, OTHER)
    found = matrix_of(script, 1, 1, "difference")
    difference = OTHER.weights[1, 1] - ATTENTION.weights[1, 1]
    expect_weights(found, difference, [2] * len(WORDS))


def test_texts_of_unlike_length_have_no_difference(script):
    script.hold(ATTENTION, attention_of(WORDS[:5], about=ATTENTION.about))
    ask = "refusal(panelsOf(data, which)[0], options)"
    said = script(ask, which="difference", options=state_of())
    assert "9 and 5 queries" in said
    assert script(ask, which="first", options=state_of()) == ""


def test_where_texts_differ_both_tokens_are_named(script):
    other = ("[CLS]", "the", *WORDS[2:])
    script.hold(ATTENTION, attention_of(other, about=ATTENTION.about))
    assert matrix_of(script, panel="difference")["keys"] == [
        *("[CLS]", "a | the", *WORDS[2:])
    ]


# --- norms ----------------------------------------------------------------


@pytest.mark.parametrize("special", [True, False])
def test_norms_are_pythons_and_shares_sum_to_1(script, special):
    script.hold(ATTENTION)
    found = script(
        "(({ handed, shares, largestMoves, rows, sizes }) => ({ handed: "
        "Array.from(handed), shares: Array.from(shares), largestMoves, "
        "rows, sizes }))(normsOf(panelsOf(data, 'first')[0], state))",
        state=state_of(layer=1, heads=[2], special=special, words=True),
    )
    kept = np.flatnonzero(special | ~ATTENTION.special)
    sizes = ATTENTION.value_norms[1, 2][kept]
    u = Rounding.of(np.float32).gamma(4)
    expect_near("sizes", sizes, found["sizes"], u * sizes)
    weights = ATTENTION.weights[1, 2][kept][:, kept]
    handed = norms(ATTENTION)[1, 2][kept][:, kept]
    np.testing.assert_allclose(handed, weights * sizes, rtol=1e-5)
    bound = (ERROR + u) * sizes + u * handed
    expect_near("handed", handed, found["handed"], bound)
    shares = np.array(found["shares"]).reshape(handed.shape)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=1e-6)
    if special:
        apart = abs(shares - norm_shares(ATTENTION)[1, 2]).max()
        worst = (bound.sum(-1) / handed.sum(-1)).max()
        assert apart <= 2 * worst + u
    moves = weights.argmax(axis=-1) != handed.argmax(axis=-1)
    assert found["largestMoves"] == moves.sum()
    assert found["rows"] == len(kept)


# --- order and filter of heads --------------------------------------------


def ranked(script, **changes):
    found = script(
        "rankedHeads(panelsOf(data, 'first')[0], 2, 3, state)",
        state=state_of(**changes),
    )
    return [(one["layer"], one["head"], one["value"]) for one in found]


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("least", [None, "that of a head"])
def test_heads_are_sorted_and_filtered_by_each_metric(
    script, attention, least, ascending
):
    script.hold(attention)
    for name, values in metric_table(attention).values.items():
        bound = (
            None if least is None else np.sort(values, axis=None)[2].item()
        )
        heads = [
            (*place, float(value))
            for place, value in np.ndenumerate(values)
            if bound is None or value >= bound
        ]
        heads.sort(key=lambda one: one[2], reverse=not ascending)
        order = {"sort": name, "ascending": ascending, "least": bound}
        assert ranked(script, **order) == heads
        first = script(
            "foremost(valuesOf(panelsOf(data, 'first')[0], name))",
            name=name,
        )
        assert tuple(first.values()) == (
            *np.unravel_index(values.argmax(), values.shape),
            values.max(),
        )


def test_without_a_metric_heads_stand_in_the_models_order(script):
    script.hold(ATTENTION)
    assert ranked(script) == [
        (layer, head, None) for layer in range(2) for head in range(3)
    ]


def one_named() -> np.ndarray:
    """Weights in which each head does something that has a name."""
    count = len(WORDS)
    before = np.eye(count, k=-1)
    before[0, 0] = 1
    own, after = np.eye(count), before[::-1, ::-1]
    equal = np.full((count, count), 1 / count)
    first, last = (np.tile(row, (count, 1)) for row in (own[0], own[-1]))
    return np.array([[before, own, after], [equal, first, last]])


def test_heads_are_filtered_by_each_pattern(script):
    attention = from_arrays(WORDS, one_named())
    table = metric_table(attention)
    script.hold(attention)
    assert len(named_heads(table)) >= 6
    for name in named_heads(table):
        named = {(one.layer, one.head) for one in heads_of(table, name)}
        found = ranked(script, pattern=name)
        assert [(layer, head) for layer, head, _ in found] == sorted(named)


# --- the state and the address --------------------------------------------

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
        "query": st.none() | st.integers(0, 8),
        "key": st.none() | st.integers(0, 8),
        "dimension": st.integers(0, 4),
        "threshold": st.floats(0, 1),
        "special": st.booleans(),
        "words": st.booleans(),
        "between": st.sampled_from(["all", "ab", "ba", "aa", "bb"]),
        "text": st.sampled_from(["both", "first", "second", "difference"]),
        "sort": st.sampled_from(["place", *LIMITS["metrics"]]),
        "ascending": st.booleans(),
        "least": st.none() | st.floats(-1e9, 1e9),
        "pattern": st.sampled_from(["", *LIMITS["patterns"]]),
        "theme": st.sampled_from(["auto", "light", "dark"]),
    }
)
READ = "stateOf(fragment, limits)"


@given(STATES)
def test_a_state_comes_back_from_its_address(script, state):
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
def test_no_address_leads_out_of_what_there_is(script, fragment):
    state = script(READ, fragment=fragment, limits=LIMITS)
    start = script("DEFAULTS")
    assert state.keys() == start.keys()
    assert {*state["heads"]} <= {*range(13)}
    assert state["heads"]
    assert state["layer"] in range(3)
    assert state["query"] in (None, *range(9))
    assert 0 <= state["threshold"] <= 1
    assert state["sort"] in ("place", *LIMITS["metrics"])
    assert state["least"] is None or abs(state["least"]) <= 1e9
    assert (
        script(
            "stateOf(fragmentOf(state), limits)", state=state, limits=LIMITS
        )
        == state
    )


def test_a_wrong_part_of_an_address_leaves_the_others(script):
    fragment = "view=nothing&layer=3&heads=99,2&several=1&query=9&key=8"
    state = script(READ, fragment=fragment, limits=LIMITS)
    start = script("DEFAULTS")
    assert state == start | {"heads": [2], "several": True, "key": 8}


# --- lines, pictures, colours ---------------------------------------------

MATRIX = "{ weights: new Float32Array(weights), queries, keys }"
MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements={"min_value": -1, "max_value": 1},
    fill=st.nothing(),
)


def as_matrix(weights) -> dict:
    rows, columns = weights.shape
    return {
        "weights": weights.ravel().tolist(),
        "queries": [0] * rows,
        "keys": [0] * columns,
    }


@given(MATRICES, st.floats(0, 1), st.integers(1, 90), st.data())
def test_lines_are_the_strongest_and_end_inside(
    script, weights, threshold, most, data
):
    rows, columns = weights.shape
    row = data.draw(st.none() | st.integers(0, rows - 1))
    column = data.draw(st.none() | st.integers(0, columns - 1))
    places = {"query": row, "key": column}
    focus = {k: v for k, v in places.items() if v is not None}
    found = script(
        f"linesOf({MATRIX}, threshold, most, focus)",
        **as_matrix(weights),
        threshold=threshold,
        most=most,
        focus=focus,
    )
    weights = weights.astype(np.float64)  # as the script compares them
    strong = (abs(weights) >= threshold) & (weights != 0)
    for axis, place in enumerate((row, column)):
        if place is not None:
            strong &= np.indices(weights.shape)[axis] == place
    lines = found["lines"]
    assert found["found"] == strong.sum()
    assert len(lines) == min(most, strong.sum())
    ends = {(line["row"], line["column"]) for line in lines}
    assert len(ends) == len(lines)
    assert ends <= {*zip(*np.nonzero(strong), strict=True)}
    assert all(
        weights[one["row"], one["column"]] == one["weight"] for one in lines
    )
    sizes = [abs(line["weight"]) for line in lines]
    assert sizes == sorted(sizes)  # the weakest lies under the others
    left = [
        abs(weights[at])
        for at in zip(*np.nonzero(strong), strict=True)
        if at not in ends
    ]
    if left:  # chosen by counting in 256 bins
        assert max(left) <= min(sizes) + 1 / 255 + 1e-6


@given(MATRICES, st.integers(1, 5))
def test_the_strongest_come_first(script, weights, count):
    found = script(
        f"strongest({MATRIX}, count)", **as_matrix(weights), count=count
    )
    sizes = np.sort(abs(weights[weights != 0]))[::-1][:count]
    assert [abs(one["weight"]) for one in found] == sizes.tolist()


@given(MATRICES, st.integers(1, 10))
def test_a_smaller_picture_keeps_the_farthest_of_each_block(
    script, weights, size
):
    rows, columns = weights.shape
    found = script(
        "(({ numbers, rows, columns }) => ({ rows, columns, numbers: "
        "Array.from(numbers) }))(pooled(weights, rows, columns, size))",
        weights=weights.ravel().tolist(),
        rows=rows,
        columns=columns,
        size=size,
    )
    few = min(rows, size), min(columns, size)
    assert (found["rows"], found["columns"]) == few
    block = [
        np.arange(side) * less // side
        for side, less in zip((rows, columns), few, strict=True)
    ]
    for at, number in enumerate(found["numbers"]):
        row, column = divmod(at, few[1])
        part = weights[block[0] == row][:, block[1] == column]
        assert abs(number) == abs(part).max()
        assert number in part


def test_many_tokens_stand_closer_never_wider(script):
    heights = script(
        "Array.from({ length: 513 }, (_, tokens) => rowHeight(tokens))"
    )
    assert all(more <= few for few, more in pairwise(heights))
    assert heights[-1] >= 16  # what still can be pointed at


def luminance(colour) -> float:
    """Relative luminance (WCAG 2.2)."""
    share = np.array(colour) / 255
    linear = np.where(
        share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4
    )
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other) -> float:
    less, more = sorted([luminance(one), luminance(other)])
    return (more + 0.05) / (less + 0.05)


def from_hex(text: str) -> list[int]:
    return [*bytes.fromhex(text.removeprefix("#"))]


def test_more_weight_is_brighter_at_every_step(script):
    ramp = script(
        "Array.from({ length: 256 }, (_, step) =>"
        "colourOfWeight((step / 255) ** 2))"
    )
    lights = [luminance(colour) for colour in ramp]
    assert all(less <= more for less, more in pairwise(lights))
    assert len({*lights}) >= 250  # two may be rounded to the same


@given(st.floats(0, 1))
def test_a_weights_colour_is_viridis_at_its_root(script, weight):
    from matplotlib import colormaps

    expected = 255 * np.array(colormaps["viridis"](np.sqrt(weight))[:3])
    found = script("colourOfWeight(weight)", weight=weight)
    # Nine places, and straight between: seen no difference.
    assert abs(found - expected).max() <= 6


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_more_and_less_are_as_far_from_the_middle(script, theme):
    sizes = np.linspace(0, 1, 101)
    less, more = (
        np.array(
            script(
                "sizes.map((size) => colourOfDifference(size, theme))",
                sizes=(sign * sizes).tolist(),
                theme=theme,
            ),
            float,
        )
        for sign in (-1, 1)
    )
    middle = more[0]
    along = []
    for side in (less, more):
        way = side[-1] - middle
        share = (side - middle) @ way / (way @ way)
        assert (np.diff(share) >= 0).all()
        assert share[-1] == 1
        along.append(share)
    # A step of the ramp is 1/127.5; a channel is rounded.
    assert abs(along[0] - along[1]).max() < 2 / 127.5
    # The ends differ from the middle, and from each other by hue.
    assert contrast(less[-1], middle) > 3
    assert contrast(more[-1], middle) > 3
    assert less[-1][0] > less[-1][2]
    assert more[-1][2] > more[-1][0]


@pytest.mark.parametrize(("theme", "at"), [("light", 0), ("dark", 1)])
def test_each_head_stands_out_from_the_ground(script, theme, at):
    style = page.page_file("style.css")
    ground = from_hex(re.findall(r"--ground: (#\w{6});", style)[at])
    colours = script(
        "Array.from({ length: 12 }, (_, h) => colourOfHead(h, theme))",
        theme=theme,
    )
    assert len({*colours}) == 12
    for colour in colours:
        assert contrast(from_hex(colour), ground) >= 3, colour


def test_twelve_heads_have_twelve_dashes_and_twelve_marks(script):
    marks = script("Array.from({ length: 144 }, (_, h) => markOf(h))")
    shapes = [(str(one["corners"]), one["filled"]) for one in marks]
    dashes = [str(one["dash"]) for one in marks]
    names = [one["name"] for one in marks]
    assert len({*shapes[:12]}) == len({*names[:12]}) == 12
    assert len({*dashes[:12]}) == 12
    both = [*zip(shapes, dashes, strict=True)]
    assert len({*both}) == 144


@pytest.mark.parametrize("sign", [1, -1])
def test_a_picture_has_the_colour_of_each_number(script, sign):
    numbers = sign * np.array([[0, 0.25, 1], [0.5, 0.01, 0.09]])
    found = script(
        "(({ bytes, width, height }) => ({ width, height, bytes: "
        "Array.from(bytes) }))(pixelsOf({ numbers, rows: 2, columns: 3 }, "
        "signed, 'light'))",
        numbers=numbers.ravel().tolist(),
        signed=sign < 0,
    )
    zoom = found["width"] // 3
    shape = found["height"], found["width"], 4
    pixels = np.array(found["bytes"]).reshape(shape)
    of = (
        "colourOfWeight(n)" if sign > 0 else "colourOfDifference(n,'light')"
    )
    for (row, column), number in np.ndenumerate(numbers):
        cell = pixels[row * zoom : (row + 1) * zoom]
        cell = cell[:, column * zoom : (column + 1) * zoom]
        assert cell[0, 0].tolist() == [*script(of, n=float(number)), 255]
        hole = cell[zoom // 2, zoom // 2].tolist() != cell[0, 0].tolist()
        assert hole == (number < 0)


# --- in words -------------------------------------------------------------


def in_words(number: float, digits: int = 3) -> str:
    return f"{number:.{digits}f}".replace("-", "\u2212")


@pytest.mark.parametrize("head", [0, 2])
def test_a_summary_has_the_strongest_weights_and_the_entropy(
    script, attention, head
):
    script.hold(attention)
    said = script(
        "(() => { const panel = panelsOf(data, 'first')[0]; return "
        "plain(summaryOf(panel, 1, head, matrixOf(panel, 1, head, state)))"
        "})()",
        head=head,
        state=state_of(),
    )
    steps = unpack(pack_weights(attention.weights))[1, head]
    order = np.argsort(-steps, axis=None, kind="stable")[:3]
    strongest = "; ".join(
        f"{visible(attention.tokens[row])} to "
        f"{visible(attention.tokens[key])} {in_words(steps[row, key])} "
        "± 0.002"
        for row, key in zip(
            *np.unravel_index(order, steps.shape), strict=True
        )
    )
    table = metric_table(attention)
    entropy = in_words(table.values["entropy"][1, head])
    assert said.startswith(f"Layer 1, head {head}. ")
    assert f"The strongest weights: {strongest}. " in said
    assert f"Entropy, of all tokens, {entropy}, where" in said
    for name, heads in named_heads(table).items():
        here = any((one.layer, one.head) == (1, head) for one in heads)
        assert (f"{name} (" in said) == here


def visible(token: str) -> str:
    """A space at an end, as the page shows it."""
    return re.sub(r"^ +| +$", lambda found: "·" * len(found[0]), token)


@given(st.text(max_size=60))
def test_what_is_shown_of_a_token_is_never_empty_or_long(script, token):
    shown = script("visible(token)", token=token)
    assert shown
    assert len(shown) <= 41
    assert not re.search(r"^ | $|[\n\r\t]", shown)


def test_what_cannot_be_seen_has_a_sign(script):
    tokens = ["", " a ", "a\nb", "a\r\nb", "\t", "x" * 41, "👩" * 41]
    found = script("tokens.map((token) => visible(token))", tokens=tokens)
    assert found == [
        *("(empty)", "·a·", "a↵b", "a↵b", "⇥"),
        *("x" * 40 + "…", "👩" * 40 + "…"),
    ]


SIGNS = st.sampled_from(["\n", "\r", '"', ",", "a,b", '"a\nb"', ""])
CELLS = st.text(max_size=8) | SIGNS | st.integers(-9, 9)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=3), max_size=4))
def test_a_saved_table_is_read_back(script, rows):
    import csv
    from io import StringIO

    text = script("csvOf(rows)", rows=rows)
    found = [*csv.reader(StringIO(text, newline=""), strict=True)]
    assert found == [[str(cell) for cell in row] for row in rows]


@given(st.text(max_size=20) | st.sampled_from(HOSTILE))
def test_a_saved_picture_is_xml_with_the_token_as_text(script, token):
    from xml.etree import ElementTree

    svg = script(
        "svgOf(scene(9, 9, '#fff', [{ shape: 'text', x: 1, y: 1, text, "
        "colour: '#000', size: 12, anchor: 'start' }]))",
        text=token,
    )
    root = ElementTree.fromstring(svg.encode("utf-8", "surrogatepass"))
    assert [one.tag.split("}")[1] for one in root] == ["rect", "text"]
    lost = r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
    kept = re.sub(lost, "\ufffd", token)
    read = re.sub(r"\r\n?", "\n", kept)  # as every reader of XML does
    assert root[1].text == f"\u2066{read}\u2069"
