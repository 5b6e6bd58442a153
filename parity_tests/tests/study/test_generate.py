"""`twice generate` and `twice chat` with a Llama; what a break moves."""

import io
import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numpy_ref.checkpoints.llama_config import LlamaConfig
from numpy_ref.checkpoints.model_folders import ModelFolder
from numpy_ref.fast import prefill
from numpy_ref.tokenizers.gguf_vocabulary import gguf_tokenizer
from numpy_ref.training.architectures import ARCHITECTURES
from numpy_ref.training.initial_weights import initial_llama
from numpy_ref.variants import llama_cache
from numpy_ref.variants.llama import llama
from parity_tests.tests.tokenizers.ggufs import SIZE, small
from study.generate import chat_command, models
from study.generate.breaking import (
    BREAKS,
    broken,
    first_moved,
    moved,
    read,
    report,
)
from study.generate.chat import Chat
from study.generate.models import WritingModel
from study.generate.writing import SamplingSettings, until

POSITIONS = 200
CONFIG = LlamaConfig(SIZE, POSITIONS, 24, 8, 40, 3, 6, 2, 300.0, 1e-5)
TEMPLATE = (
    "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<s>assistant: {% endif %}"
)


def random_llama():
    """A model whose attention is far from uniform."""
    rng = np.random.default_rng(0)
    params = initial_llama(CONFIG, rng, "float64")
    for block in params.decoder.blocks:
        attention = block.attention_sublayer.attention
        for layer in (attention.query, attention.key, attention.value):
            layer.weight[...] *= 40
    params.output.weight[...] *= 100
    return params


PARAMS = random_llama()


def decoding(positions=POSITIONS):
    return ARCHITECTURES["llama"].decoding(PARAMS, CONFIG, positions)


def chatting(template=TEMPLATE) -> WritingModel:
    metadata = small("smollm") | {"tokenizer.chat_template": template}
    folder = ModelFolder(Path("small"), "a small Llama", "llama")
    return WritingModel(folder, CONFIG, gguf_tokenizer(metadata), decoding)


GREEDY = SamplingSettings(temperature=0)


def said(chat: Chat, message: str) -> str:
    return "".join(chat.answer(message))


PENALISED = SamplingSettings(temperature=0, penalty=2.0)


@pytest.mark.parametrize("sampling", [GREEDY, PENALISED])
def test_each_answer_is_that_to_the_whole_conversation(sampling):
    """Read anew, without what the cache has kept."""
    model = chatting()
    chat = Chat(model, sampling, 9, "Be brief.")
    for message in ("It's there: 1234", "été?", "THERE'S 12"):
        answer = said(chat, message)
        alone = Chat(model, sampling, 9)
        alone.messages = chat.messages[:-2]
        assert said(alone, message) == answer
    assert [m["role"] for m in chat.messages] == (
        ["system"] + 3 * ["user", "assistant"]
    )
    assert len({m["content"] for m in chat.messages[2::2]}) > 1


def test_a_turn_reads_only_what_is_new():
    chat = Chat(chatting(), GREEDY, 9)
    said(chat, "It's there: 1234")
    begun = chat.model.tokenizer.conversation(chat.messages[:1])
    reads = []
    read_on = chat.decoding.read
    chat.decoding.read = lambda ids: reads.append(len(ids)) or read_on(ids)
    said(chat, "été?")
    whole = chat.model.tokenizer.conversation(chat.messages[:3])
    assert reads[0] <= len(whole) - len(begun)
    assert {*reads[1:]} == {1}


@pytest.fixture
def on_threads(monkeypatch):
    """With how many workers attention was asked on threads."""
    workers = []

    def watched(*arguments):
        workers.append(arguments[-1])
        return attend(*arguments)

    attend = prefill.attend
    monkeypatch.setattr(prefill, "attend", watched)
    monkeypatch.setattr(models, "load_model", lambda *_: chatting())
    return workers


def test_a_prompt_is_read_on_threads(on_threads, monkeypatch, twice):
    said(Chat(chatting(), GREEDY, 2), "It's")
    assert on_threads == [os.cpu_count()] * CONFIG.layers
    on_threads.clear()
    options = ("--model", "small", "--prompt", "It's", "--length", 1)
    assert twice("generate", *options)[0] == 0
    assert on_threads == [os.cpu_count()] * CONFIG.layers
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    plain = decoding()
    assert models.at_speed(plain) is plain


def test_what_is_broken_is_what_reads(on_threads, twice):
    options = ("--model", "small", "--prompt", "It's", "--length", 1)
    assert twice("generate", *options, "--break", "scale")[0] == 0
    assert on_threads == []


def test_what_a_text_no_longer_begins_with_is_forgotten():
    reader = decoding()
    ids = np.arange(9)
    logits = reader.read(ids)
    other = np.array([0, 1, 2, 3, 9, 8])
    assert reader.unread(other).tolist() == [9, 8]
    again = reader.read(other[4:])
    np.testing.assert_allclose(again, decoding().read(other), rtol=1e-10)
    # A text that was read whole leaves its last token to read again.
    assert reader.unread(other[:4]).tolist() == [3]
    np.testing.assert_allclose(
        reader.read(np.array([3])), decoding().read(other[:4]), rtol=1e-10
    )
    assert abs(logits - again).max() > 0.1


def test_a_full_context_is_one_line(monkeypatch, twice):
    monkeypatch.setattr(models, "load_model", lambda *_: chatting())
    monkeypatch.setattr(sys, "stdin", io.StringIO("1 " * 999 + "\n"))
    code, out, error = twice("chat", "--length", 20)
    assert (code, out) == (2, "")
    assert "that fit 200 positions, got" in error.splitlines()[-1]


def test_a_conversation_comes_line_by_line(monkeypatch, twice):
    monkeypatch.setattr(models, "load_model", lambda *_: chatting())
    monkeypatch.setattr(sys, "stdin", io.StringIO("It's\nété\n\nTHERE\n"))
    code, out, error = twice("chat", "--temperature", 0, "--length", 6)
    chat = Chat(chatting(), SamplingSettings(temperature=0, penalty=1.1), 6)
    assert code == 0
    assert error == "Weights: a small Llama.\n"
    answers = [said(chat, message) for message in ("It's", "été")]
    assert out == "\n".join([*answers, ""])


def test_ctrl_c_ends_an_answer_and_what_was_said_stays(capsys):
    chat = Chat(chatting(), GREEDY, 9)
    pieces = chat.answer("It's")

    def stopped(message):
        yield next(pieces)
        pieces.close()
        raise KeyboardInterrupt

    chat.answer = stopped
    chat_command.answer(chat, "It's")
    shown = capsys.readouterr().out
    assert shown.endswith(" …\n")
    assert chat.messages[-1]["content"] == shown.removesuffix(" …\n")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "expected a model with a chat template, got a small Llama"),
        ("{% for", "expected a chat template in Jinja's language"),
    ],
)
def test_a_model_without_a_template_does_not_chat(template, message):
    with pytest.raises(ValueError, match=message):
        Chat(chatting(template), GREEDY, 9)


# Stop words.


@given(
    text=st.text("ab", max_size=12),
    cuts=st.lists(st.integers(0, 12)),
    stops=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
)
def test_a_text_ends_before_the_first_stop(text, cuts, stops):
    """However the text comes in pieces."""
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    left = "".join(until(iter(pieces), stops))
    places = [
        place
        for place in range(len(text))
        if any(text.startswith(stop, place) for stop in stops)
    ]
    if not places:
        assert left == text
    else:
        assert left == text[: places[0]]


def test_nothing_is_read_behind_a_stop():
    def pieces():
        yield "one "
        yield "two"
        raise AssertionError("read on")

    assert "".join(until(pieces(), ["two"])) == "one "


# Breaks.

IDS = np.array([7, 3, 9, 3, 5, 1, 8])


def test_as_it_is_a_reading_is_the_whole_models():
    reading = read(IDS, decoding())
    sizes = (CONFIG.heads, CONFIG.key_heads, CONFIG.d_head)
    _, layers, logits = llama(
        IDS, PARAMS, *sizes, CONFIG.base, CONFIG.epsilon
    )
    for index, layer in enumerate(layers):
        expected = (layer.weights, layer.hidden)
        found = (reading.weights[index], reading.hidden[index])
        for ours, whole in zip(found, expected, strict=True):
            assert abs(ours - whole).max() <= 1e-10 * abs(whole).max()
    np.testing.assert_allclose(reading.logits, logits[-1], rtol=1e-9)
    assert first_moved(moved(reading, read(IDS, decoding()))) is None


@pytest.mark.parametrize("what", BREAKS)
def test_a_break_moves_heads_and_lasts_no_longer_than_it_should(what):
    right = read(IDS, decoding())
    with broken(what):
        wrong = read(IDS, decoding())
    after = read(IDS, decoding())
    changes = moved(right, wrong)
    assert first_moved(changes).layer == 0
    assert all(change.hidden > 0 for change in changes)
    np.testing.assert_array_equal(after.weights, right.weights)
    for name, mistake in BREAKS[what].items():
        assert getattr(llama_cache, name) is not mistake


def test_the_grouping_break_tiles_where_it_should_repeat():
    """Weights of the first layer, computed head by head."""
    with broken("grouping"):
        wrong = read(IDS, decoding())
    sizes = (CONFIG.heads, CONFIG.key_heads, CONFIG.d_head)
    _, (layer, *_), _ = llama(
        IDS, PARAMS, *sizes, CONFIG.base, CONFIG.epsilon
    )
    for head in range(CONFIG.heads):
        key = layer.key[head % CONFIG.key_heads]
        scores = layer.query[head] @ key.T / np.sqrt(CONFIG.d_head)
        powers = np.tril(np.exp(scores))
        weights = powers / powers.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(
            wrong.weights[0, head], weights, atol=1e-12
        )


def test_a_report_names_the_first_head_and_the_logits():
    right = read(IDS, decoding())
    with broken("scale"):
        wrong = read(IDS, decoding())
    tokens = chatting().tokenizer.tokens
    first, head, *layers, logit, likely = report(
        "scale", right, wrong, tokens
    )
    change = first_moved(moved(right, wrong))
    assert f"layer {change.layer}, head {change.head}," in first
    assert head.split()[0] == "layer"
    assert len(layers) == CONFIG.layers
    most = int(abs(wrong.logits - right.logits).argmax())
    assert f"to {wrong.logits[most]:.1f}." in logit
    assert likely.endswith("broken.")
    (nothing,) = report("scale", right, right, tokens)
    assert nothing.endswith("On this prompt no head moved.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--min-p", 2), "expected --min-p to be from 0 to 1, got 2.0"),
        (
            ("--repetition-penalty", 0),
            "expected --repetition-penalty above 0, got 0.0",
        ),
        (("--stop", ""), "expected --stop with a text, got ''"),
        (
            ("--break", "everything"),
            "expected --break to be one of pairing, grouping, mask, offset,"
            " scale, got everything",
        ),
    ],
)
def test_options_out_of_range_are_refused(twice, options, message):
    code, out, error = twice(
        "generate", "--model", "smollm2", "--prompt", "One", *options
    )
    assert (code, out) == (2, "")
    assert error == f"twice: {message}\n"
