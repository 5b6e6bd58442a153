"""What the tests of the page share: texts, and its scripts in an engine.

The scripts that need no page around them (`PURE_MODULES`) run without a
browser; what they come to is held against Python's numbers. Only
inflating is a browser's, and is Python's here.
"""

import json
import zlib
from base64 import b64decode

import numpy as np
import pytest
from py_mini_racer import MiniRacer

from bert_viz import from_arrays
from bert_viz.page.data import as_json, page_data
from bert_viz.page.file import PURE_MODULES, joined_modules
from numpy_ref.attention import attention_scores, masked_softmax
from numpy_ref.layers import Linear
from numpy_ref.masks import causal_mask
from parity_tests.twins.comparing import Comparison, within

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
    if given.get("queries") is not None:
        queries = given["queries"]
        keys = keys.astype(queries.dtype)
    mask = causal_mask(count, count) if causal else np.ones((1, 1), bool)
    mask = mask & (np.array(tokens) != "[PAD]")
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
PADDED = attention_of((*WORDS[:4], "[PAD]", "[PAD]"))
TEXTS = {"words": ATTENTION, "pair": OF_A_PAIR, "causal": CAUSAL}
TEXTS |= {"padded": PADDED}


@pytest.fixture(params=TEXTS)
def attention(request):
    return TEXTS[request.param]


def one_named() -> np.ndarray:
    """Weights in which each head does something that has a name."""
    count = len(WORDS)
    before = np.eye(count, k=-1)
    before[0, 0] = 1
    own, after = np.eye(count), before[::-1, ::-1]
    equal = np.full((count, count), 1 / count)
    first, last = (np.tile(row, (count, 1)) for row in (own[0], own[-1]))
    return np.array([[before, own, after], [equal, first, last]])


# --- the scripts, in an engine of their own -------------------------------

# In place of a browser's streams, which inflate: what Python inflated.
STREAMS = """
const inflatedBytes = new Map();
const DecompressionStream = Object;
class Blob {
  constructor([bytes]) { this.bytes = bytes; }
  stream() { return { pipeThrough: () => this.bytes }; }
}
class Response {
  constructor(bytes) { this.bytes = bytes; }
  async arrayBuffer() {
    return new Uint8Array(inflatedBytes.get(this.bytes.join())).buffer;
  }
}
"""
# All exports by their names, and what texts the page would hold.
NAMES = """
const { unpack, bytesOf, floatsOf } = $unpacking;
const { shownUnits, maskedBetween } = $selecting;
const { panelsOf, refusal, matrixOf } = $panels;
const { arithmeticOf } = $arithmetic;
const { normsOf } = $norms;
const { strongestLinks } = $links;
const { rankedHeads, valuesOf, largestHead } = $ranking;
const { linesOf, strongest, pooled, rowHeight } = $layout;
const { columnsFor, pooledMatrix } = $layout;
const { summaryOf, visible, weightText } = $telling;
const { colourOfWeight, colourOfDifference } = $colours;
const { colourOfHead, colourOfMasked, pixelsOf } = $colours;
const { markOf } = $marks;
const { DEFAULTS, stateOf, fragmentOf, headOf } = $state;
const { scene, svgOf, escaped } = $scene;
const { csvOf } = $csv;
let data = null;
const plain = (sentence) => sentence.map((part) =>
  part.number || (part.token ? visible(part.token) : part)).join("");
"""


class Engine:
    """The page's own functions, called with Python's values."""

    def __init__(self, context: MiniRacer):
        self.context = context
        pure = joined_modules(PURE_MODULES)
        self.context.eval(STREAMS + pure + NAMES)

    def __call__(self, expression: str, **values):
        """What an expression comes to, `values` being names in it."""
        numbers = ", ".join(json.dumps(value) for value in values.values())
        text = self.context.eval(
            f"JSON.stringify((({', '.join(values)}) => "
            f"({expression}))({numbers}))"
        )
        return json.loads(text)

    def unpacked(self, packed) -> list:
        """What the page reads out of an array."""
        self.inflate(packed)
        promise = self.context.eval(
            f"unpack({json.dumps(packed)})"
            ".then((array) => JSON.stringify(Array.from(array)))"
        )
        return json.loads(promise.get())

    def hold(self, attention, other=None) -> None:
        """Hold the data of a page, its arrays unpacked."""
        page = page_data(attention, other, (0,))
        for text in page["texts"]:
            self.inflate(text["weights"])
            if text["value_norms"]:
                self.inflate(text["value_norms"])
        self.context.eval(
            f"data = {as_json(page)};"
            "Promise.all(data.texts.flatMap((text) =>"
            "[text.weights, text.value_norms].filter(Boolean).map(unpack)))"
        ).get()

    def inflate(self, packed) -> None:
        """Do a browser's part before the page asks for it."""
        deflated = b64decode(packed["data"])
        inflated = zlib.decompress(deflated)
        self.context.eval(
            f"inflatedBytes.set({[*deflated]}.join(), {[*inflated]})"
        )


@pytest.fixture(scope="module")
def script():
    with MiniRacer() as context:
        yield Engine(context)


def state_of(**changes) -> dict:
    """The page's own state at the start, with some of it changed."""
    shown = {"special": True, "words": False, "between": "all"}
    order = {"sort": "model", "ascending": False}
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


def in_words(number: float, digits: int = 3) -> str:
    return f"{number:.{digits}f}".replace("-", "\u2212")
