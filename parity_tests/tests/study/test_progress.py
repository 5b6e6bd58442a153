"""A progress bar: on standard error, for long work in a terminal only."""

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from study.text import progress as bars

from .test_bert_walk import small as small

PROMPT = ("--prompt", "a", "--length", 1)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal would have it


def test_what_passes_is_counted(capsys, terminal, monkeypatch):
    monkeypatch.setattr(bars, "PATIENCE", 0)
    assert [*bars.progress("reading")("abc")] == ["a", "b", "c"]
    passed = bars.progress("learning", total=2)(iter("ab"))
    assert next(passed) == "a"
    assert [*passed] == ["b"]
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("reading", "learning", "100%", "0:00:00"):
        assert part in err


def test_work_that_is_soon_done_has_no_bar(capsys, terminal):
    assert [*bars.progress("reading")("abc")] == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_file_gets_no_bar(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr(bars, "PATIENCE", 0)
    assert [*bars.progress("reading")("abc")] == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_bar_ends_with_the_work_that_fails(capsys, terminal, monkeypatch):
    monkeypatch.setattr(bars, "PATIENCE", 0)
    hidden, shown = "\x1b[?25l", "\x1b[?25h"  # the cursor of a terminal
    numbers = bars.progress("reading")([1, 0])
    with pytest.raises(ZeroDivisionError):
        [1 / number for number in numbers]
    numbers.close()
    err = capsys.readouterr().err
    assert hidden in err
    assert err.rindex(shown) > err.rindex(hidden)


@pytest.fixture
def models(tmp_path, small):
    """Each command that loads a model, with a small one."""
    config = GPT2Config(n_layer=1, n_embd=4, n_head=1, n_positions=8)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    return {
        "view": ["view", "a robot", "--model-version", tmp_path],
        "generate": ["generate", "--model", tmp_path, *PROMPT],
        "walk": ["--model", small, "--text", "the artist"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("command", ["view", "generate", "walk"])
def test_a_large_model_has_a_bar(
    twice, models, terminal, monkeypatch, command
):
    code, out, err = twice(*models[command])
    assert code == 0
    assert "loading the model" not in err
    monkeypatch.setattr(bars, "PATIENCE", 0)
    _, out_of_long, err = twice(*models[command])
    assert out_of_long == out
    assert "loading the model" in err
    assert "100%" in err
