"""`twice view`: what it prints, writes and refuses."""

import csv
import json
import webbrowser
from dataclasses import replace

import numpy as np
import pytest

from bert_viz import attend, attending, from_arrays
from bert_viz.measures.metric_table import metric_table
from bert_viz.page.data import layers_that_fit
from numpy_ref.checkpoints.bert import load_bert
from study.view import parts
from study.view.command import SENTENCE
from study.view.parts import chosen_tokens, start

pytest.importorskip("matplotlib")

# Plots of each kind are drawn of small arrays in `test_plots.py`, too.
SLOW = pytest.mark.slow
LAYER, HEAD = "--layer", "--head"
PNG = b"\x89PNG\r\n\x1a\n"


def test_the_default_sentence_and_the_heads_with_a_pattern(twice):
    code, out, _ = twice("view", "--metrics")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("all-MiniLM-L6-v2, a BERT trained to embed")
    assert "[CLS] the artist painted the portrait" in lines[1]
    assert "rows as the model gives them" in lines[3]
    assert "  previous token   0.2 (1.00)" in lines
    assert "  next token       1.8 (0.63)" in lines
    assert "special tokens left out, rows renormalised" in out
    assert "mean of A[i, i-1] over the rows where that key exists" in out
    assert "Voita et al. 2019" in out


def test_the_heads_that_link_two_tokens_are_printed_without_a_plot(twice):
    code, out, _ = twice("view", "--tokens", "woman,artist")
    assert code == 0
    attention = attend(SENTENCE)
    *_, there, _, back_title, back = out.splitlines()
    title = "from artist (token 2) to woman (token 8); as layer.head"
    assert back_title == title
    for line, (query, key) in ((there, (8, 2)), (back, (2, 8))):
        weights = attention.weights[..., query, key]
        layer, head = np.unravel_index(weights.argmax(), weights.shape)
        first = f"  {layer}.{head} ({weights.max():.2f}), "
        assert line.startswith(first)
        assert line.count("(") == 6


def test_one_token_is_printed_with_what_it_links_to(twice):
    code, out, _ = twice("view", "--tokens", "portrait")
    assert code == 0
    assert "  0.2 (1.00) to the (token 4)" in out.splitlines()
    assert "  0.2 (1.00) from of (token 6)" in out.splitlines()


def test_numbers_as_csv_and_npz(twice, tmp_path):
    table, arrays = tmp_path / "heads.csv", tmp_path / "heads.npz"
    code, out, _ = twice("view", "--csv", table, "--npz", arrays)
    assert code == 0
    assert out.splitlines()[-2:] == [str(table), str(arrays)]
    attention = attend(SENTENCE)
    with np.load(arrays) as stored:
        assert tuple(stored["tokens"]) == attention.tokens
        for name in ("weights", "queries", "keys", "values", "scores"):
            expected = getattr(attention, name)
            assert np.array_equal(stored[name], expected), name
        assert "all-MiniLM" in str(stored["about"])
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 72 + 1  # and equal weights
    assert float(rows[2]["previous token"]) == pytest.approx(
        attention.weights[0, 2].diagonal(-1).mean(), rel=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        (),
        pytest.param((LAYER, 2, HEAD, 7), marks=SLOW),
        pytest.param(("--tokens", "portrait, 11"), marks=SLOW),
        pytest.param(("--tokens", "portrait"), marks=SLOW),
        pytest.param(("--metrics",), marks=SLOW),
        ("--kind", "map"),
        ("--kind", "rollout"),
        ("--kind", "norms", LAYER, 2, HEAD, 7),
    ],
    ids=lambda options: " ".join(map(str, options)) or "heads",
)
def test_every_kind_of_plot(twice, tmp_path, options):
    path = tmp_path / "plot.png"
    code, out, err = twice("view", "--plot", path, *options)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == str(path)
    assert path.read_bytes().startswith(PNG)


def test_no_special_tokens_words_and_a_pair(twice):
    _, out, _ = twice("view", "Is it?", "--pair", "It is.", "--no-special")
    assert "6 tokens: is it ? it is ." in out
    assert out.count("heads as layer.head") == 1
    _, out, _ = twice("view", "untranslatably", "--words")
    assert "3 tokens: [CLS] untranslatably [SEP]" in out
    assert "word pieces joined into words" in out


@pytest.mark.usefixtures("few_positions")
def test_a_text_that_is_truncated(twice):
    code, out, _ = twice("view", "one two three four five", "--truncate")
    assert code == 0
    assert "\n6 tokens: [CLS] one two three four [SEP]" in out


@pytest.fixture
def few_positions(monkeypatch):
    """The packaged model, as if it had six positions."""

    def load(*arguments):
        checkpoint = load_bert(*arguments)
        config = replace(checkpoint.config, positions=6)
        return replace(checkpoint, config=config)

    monkeypatch.setattr(attending, "load_bert", load)


def test_a_page_of_two_texts(twice, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    path = tmp_path / "page.html"
    options = "--html", path, "--beside", "It was warm.", "--open"
    code, out, _ = twice("view", "A cat sat.", *options)
    assert code == 0
    assert out.splitlines()[-1] == str(path)
    assert opened == [path.as_uri()]
    page = path.read_text(encoding="utf-8")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert [text["tokens"][1] for text in data["texts"]] == ["a", "it"]
    layers = [[*text["neuron"]] for text in data["texts"]]
    assert layers == [[str(layer) for layer in range(6)]] * 2  # all of them
    assert data["start"].startswith("view=model&layer=")


def test_of_a_long_text_a_page_has_one_layer_s_arithmetic():
    short, long = (one_head(tokens) for tokens in (20, 2000))
    assert layers_that_fit([short], 1) == (0, 1)
    assert layers_that_fit([short, long], 1) == (1,)
    bare = from_arrays("ab", np.full((1, 1, 2, 2), 0.5))
    assert layers_that_fit([short, bare], 1) == ()


def one_head(tokens: int):
    """Two layers of one head, whose queries, keys and values are 0."""
    zeros = np.zeros((2, 1, tokens, 64), "float32")
    weights = np.full((2, 1, tokens, tokens), 1 / tokens, "float32")
    vectors = dict.fromkeys(("queries", "keys", "values"), zeros)
    return from_arrays(["a"] * tokens, weights, **vectors)


def test_what_a_page_shows_first(monkeypatch):
    """The clearest head that has a name, of those in the order of names."""
    table = metric_table(attend(SENTENCE))
    assert start(None, None, table) == "view=model&layer=0&heads=2"
    assert start(2, 7, table) == "view=head&layer=2&heads=7"
    monkeypatch.setattr(parts, "named_heads", lambda table: {})
    assert start(None, None, table) == "view=model"


def test_names_and_positions_of_tokens():
    assert chosen_tokens(" portrait ,11,") == ["portrait", 11]
    assert chosen_tokens(None) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "expected a sentence with words, got ''"),
        (("word " * 600,), "at most 512 tokens"),
        (("--model-type", "t5"), "expected model_type to be one of bert, "),
        (("--model-type", "gpt2"), "no GPT-2 is packaged"),
        (
            ("--model-version", "no/such-model"),
            "a packaged model (bert, smollm2)",
        ),
        ((LAYER, 2), "expected --layer and --head for one head"),
        ((LAYER, 6, HEAD, 0), "expected layer from 0 to 5, got 6"),
        (("--tokens", "horse"), "horse"),
        (("--kind", "tokens"), "expected --tokens with --kind tokens"),
        (("--kind", "links"), "expected --tokens with --kind links"),
        (
            ("--html", "a.html", LAYER, 0, HEAD, 99),
            "expected head from 0 to 11, got 99",
        ),
        (
            ("--html", "a.html", "--kind", "head"),
            "expected --layer and --head for one head",
        ),
        (("--open",), "expected --html with --open, got none"),
        (("--beside", "b"), "expected --html with --beside, got none"),
    ],
)
def test_what_is_refused_in_one_line_and_nothing_written(
    twice, tmp_path, arguments, message
):
    path = tmp_path / "plot.png"
    code, out, err = twice("view", *arguments, "--plot", path)
    assert (code, out) == (2, "")
    assert err.startswith("twice: ")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--plot", "x.gif"),
        ("--csv", "x.txt"),
        ("--npz", "no/x.npz"),
        ("--html", "x.svg"),
    ],
)
def test_files_that_cannot_be_written(twice, tmp_path, option, name):
    code, _, err = twice("view", option, tmp_path / name)
    assert code == 2
    assert err.startswith("twice: expected ")
    assert name.split("/")[-1] in err


def test_objects_show_themselves_in_a_notebook():
    attention = attend(SENTENCE)
    assert attention._repr_png_().startswith(PNG)
    assert repr(attention).startswith(
        "<Attention: 13 tokens, 6 layers of 12"
    )
    html = metric_table(attention)._repr_html_()
    assert "<th>largest in</th></tr>" in html
    assert "<th>previous token</th><td>0.077</td>" in html
    assert "rows as the model gives them" in html
