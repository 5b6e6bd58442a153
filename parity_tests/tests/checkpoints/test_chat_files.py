"""The tokenizer of a folder that chats; transformers is the oracle."""

import json

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from numpy_ref.checkpoints import byte_pair_files
from numpy_ref.checkpoints.chat_files import chat_tokenizer_of
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from parity_tests.tests.tokenizers.test_byte_pair_files import (
    END_OF_TEXT,
    SIZE,
    by_digits,
    edit,
    make,
    nothing,
    saved_whole,
    two_files,
)

SOURCE = """{{ bos_token }}{% for m in messages %}[{{ m.role }}]
{{ m.content }}{{ eos_token }}{% endfor %}"""
MESSAGES = [
    {"role": "user", "content": "O gato está na casa?"},
    {"role": "assistant", "content": " 123\n\n"},
]


@pytest.fixture
def folder(tmp_path):
    """A folder as transformers saves it, with a chat template."""
    make(tmp_path, "saved whole")
    edit(tmp_path / "config.json", lambda c: c.update(eos_token_id=[0, 3]))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.bos_token = END_OF_TEXT
    tokenizer.chat_template = SOURCE
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def in_config(folder, template) -> None:
    """As older releases of transformers saved a template."""
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    edit(
        folder / "tokenizer_config.json",
        lambda c: c.update(chat_template=template),
    )


def check_same(folder) -> None:
    ours = chat_tokenizer_of(folder, SIZE)
    theirs = AutoTokenizer.from_pretrained(folder)
    expected = theirs.apply_chat_template(
        MESSAGES, add_generation_prompt=True, return_dict=False
    )
    assert expected.count(0) == 3
    assert ours.conversation(MESSAGES).tolist() == expected
    assert ours.ends == (0, 3)


def test_a_folder_s_conversation_is_that_of_transformers(folder):
    assert (folder / "chat_template.jinja").is_file()
    check_same(folder)
    in_config(folder, SOURCE)
    check_same(folder)
    other = {"name": "tools", "template": "other"}
    in_config(folder, [other, {"name": "default", "template": SOURCE}])
    check_same(folder)


def test_a_file_of_its_own_counts_more_than_the_config(folder):
    edit(
        folder / "tokenizer_config.json",
        lambda c: c.update(chat_template="other"),
    )
    check_same(folder)


def test_a_folder_without_a_template_does_not_chat(folder):
    in_config(folder, None)
    ours = chat_tokenizer_of(folder, SIZE)
    assert not ours.chats
    assert ours.encode("gato").size


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ([{"name": "rag", "template": ""}], "named default in .*, got rag"),
        (7, "chat_template in .* to be a text, got int"),
        ("{% for", "expected a chat template in Jinja's language, got"),
    ],
)
def test_a_template_that_is_none_is_refused(folder, template, message):
    in_config(folder, template)
    with pytest.raises(ValueError, match=message):
        chat_tokenizer_of(folder, SIZE)


def test_a_folder_with_openai_s_tokens_may_have_a_template(
    tmp_path, monkeypatch
):
    small = BytePairTokenizer(np.zeros((0, 2), np.int64), (END_OF_TEXT,))
    monkeypatch.setattr(byte_pair_files, "gpt2_tokenizer", lambda: small)
    (tmp_path / "chat_template.jinja").write_text(SOURCE)
    ours = chat_tokenizer_of(tmp_path, 257)
    ids = ours.conversation([{"role": "a", "content": END_OF_TEXT}])
    assert ids.tolist().count(256) == 2


def test_digits_that_only_the_file_cuts_out_are_cut_out_and_it_is_said(
    tmp_path,
):
    """SmolLM2's folder: a GPT2Tokenizer by name, and digits alone."""
    saved_whole(tmp_path, by_digits)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    edit(
        tmp_path / "tokenizer_config.json",
        lambda c: c.update(tokenizer_class="GPT2Tokenizer"),
    )
    ours = chat_tokenizer_of(tmp_path, SIZE)
    ids = ours.encode("gato 123: 123").tolist()
    assert ids == theirs("gato 123: 123")["input_ids"]
    assert ours.about == (
        "tokenizer.json splits digits one by one, transformers 5 does not"
    )
    forgetful = AutoTokenizer.from_pretrained(tmp_path)
    assert forgetful("gato 123: 123")["input_ids"] != ids


@pytest.mark.parametrize("kind", ["two files", "saved"])
@pytest.mark.parametrize("named", [True, False])
def test_a_qwen_s_folder_is_read_as_by_transformers(tmp_path, kind, named):
    two_files(tmp_path)
    config = {"model_type": "qwen2", "vocab_size": SIZE}
    (tmp_path / "config.json").write_text(json.dumps(config))
    declared = {"tokenizer_class": "Qwen2Tokenizer"} if named else {}
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(declared))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    if kind == "saved":
        for name in ("vocab.json", "merges.txt"):
            (tmp_path / name).unlink()
        theirs.save_pretrained(tmp_path)
    ours = chat_tokenizer_of(tmp_path, SIZE)
    for text in (
        "It's THERE'S 1234\r\n\n (está) esta\u0301  x",
        END_OF_TEXT,
    ):
        assert ours.encode(text).tolist() == theirs(text)["input_ids"]
    assert "another pattern than GPT-2's" in ours.about


def test_a_qwen_s_file_that_splits_in_another_way_is_refused(tmp_path):
    saved_whole(tmp_path, nothing)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    edit(
        tmp_path / "tokenizer_config.json",
        lambda c: c.update(tokenizer_class="Qwen2Tokenizer"),
    )
    with pytest.raises(ValueError, match="as Qwen2Tokenizer reads it, and"):
        chat_tokenizer_of(tmp_path, SIZE)
