"""The tokenizer of a GGUF: SmolLM2's, and small ones of other kinds."""

import re
import tempfile
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

from numpy_ref.checkpoints.gguf_files import open_gguf
from numpy_ref.tokenizers.gguf_vocabulary import (
    PRE_TOKENIZERS,
    gguf_tokenizer,
)
from numpy_ref.tokenizers.library_byte_pair import LibraryBytePair
from numpy_ref.tokenizers.renumbered import RenumberedTokenizer
from numpy_ref.tokenizers.text_stream import stream_text
from parity_tests.oracles.tokenizers import (
    CHARACTERS,
    TEXT,
    by_tokenizers,
    standard_library,
)
from parity_tests.tests.tokenizers.ggufs import (
    ADDED,
    CORPUS,
    SIZE,
    small,
    smollm2_file,
    smollm2_metadata,
    smollm2_tokenizer,
)
from study.text.corpus import sample

SPECIAL = [
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<gh_stars>"),
    *("<|im_end|", "|im_end|>", "<<|im_end|>>", "<|im_|im_end|>"),
    *("<|IM_END|>", "<| im_end |>", "\n<|im_end|>\n", "<think>"),
]
NUMBERS = ["2024", " 3.14", "1 000 000", "x2y", "½٣Ⅷ", "  7", "\n\n42"]
TYPED = st.one_of(
    TEXT,
    st.lists(st.sampled_from([*SPECIAL, *NUMBERS]) | TEXT, max_size=6).map(
        "".join
    ),
)

# Letters and numbers that the library knows and Unicode 16 does not.
NEWER_NUMBERS = "[\U00011de0-\U00011de9\U00016ff4-\U00016ff6]"


@cache
def theirs():
    return by_tokenizers(smollm2_metadata())


def their_ids(text: str, special: bool = True) -> list[int]:
    theirs().encode_special_tokens = not special
    return theirs().encode(text).ids


def with_tokens(text: str) -> str:
    """The characters that SmolLM2 has tokens for."""
    absent = {*smollm2_tokenizer()._tokenizer.absent}
    return "".join(c for c in text if not {*c.encode()} & absent)


# --- SmolLM2 -------------------------------------------------------------


def test_smollm2_is_read_whole_and_by_our_own():
    ours = smollm2_tokenizer()
    assert isinstance(ours._tokenizer, RenumberedTokenizer)
    assert len(ours.tokens) == 49_152 == theirs().get_vocab_size()
    assert ours.ends == (ours.special_tokens["<|im_end|>"],) == (2,)
    assert len(ours.special_tokens) == 17
    assert ours.about == ""
    assert ours.chats


def test_no_token_of_smollm2_has_two_digits():
    """So the digits were apart when its merges were learned."""
    tokens = smollm2_metadata()["tokenizer.ggml.tokens"]
    assert not [t for t in tokens if len(re.findall(r"\d", t)) > 1]
    assert [smollm2_tokenizer().tokens.count(b"%d" % d) for d in range(10)]


def test_the_bytes_without_a_token_are_hardly_ever_used():
    absent = smollm2_tokenizer()._tokenizer.absent
    never = b"\xc0\xc1" + bytes(range(0xF5, 0x100))  # in UTF-8
    controls = b"\x04\x06\x13\x14\x16\x1d"
    unassigned = b"\xf1\xf2"  # begin U+40000 ... U+BFFFF
    assert {*absent} == {*never, *controls, *unassigned}


@given(TYPED)
@example("In 2024, it's 3.14159 and\n\n  1 000 <|im_end|>\x04!\U00040000")
def test_smollm2_s_ids_are_those_of_tokenizers(text):
    text = re.sub(NEWER_NUMBERS, "", text)
    ours = smollm2_tokenizer()
    assert ours.encode(text).tolist() == their_ids(text)
    ordinary = ours.encode_ordinary(text).tolist()
    assert ordinary == their_ids(text, special=False)


def test_smollm2_s_ids_of_whole_texts_are_those_of_tokenizers(the_verdict):
    ours = smollm2_tokenizer()
    for text in (sample(), the_verdict, standard_library(20_000)):
        ids = ours.encode_ordinary(text)
        assert ids.tolist() == their_ids(text, special=False)
        assert ours.decode_bytes(ids) == text.encode()


@pytest.mark.slow
def test_every_character_beside_others_has_the_ids_of_tokenizers():
    ours = smollm2_tokenizer()
    for begin in range(0, len(CHARACTERS), 4096):
        block = CHARACTERS[begin : begin + 4096]
        text = re.sub(NEWER_NUMBERS, "", " x".join(block) + "".join(block))
        assert ours.encode_ordinary(text).tolist() == their_ids(text, False)


@given(TYPED)
def test_a_text_comes_back_from_smollm2_s_ids(text):
    ours, text = smollm2_tokenizer(), with_tokens(text)
    for ids in (ours.encode(text), ours.encode_ordinary(text)):
        assert ours.decode(ids) == text
        pieces = [*stream_text(ids.tolist(), ours.tokens)]
        assert "".join(pieces) == text
        assert "" not in pieces
        assert ("\ufffd" in "".join(pieces)) == ("\ufffd" in text)


def test_a_special_token_counts_where_the_caller_says_so():
    ours = smollm2_tokenizer()
    assert ours.encode("a<|im_end|>").tolist()[-1] == 2
    assert 2 not in ours.encode_ordinary("a<|im_end|>")
    assert 2 not in ours.encode("a<|im_end|>", {"<|im_start|>"}, ())
    with pytest.raises(ValueError, match=r"got '<\|im_end\|>' at 1"):
        ours.encode("a<|im_end|>", ())


@pytest.mark.slow
def test_transformers_agrees_once_it_is_told_of_the_digits():
    """By itself it takes GPT-2's split for "smollm"."""
    path, ours = smollm2_file(), smollm2_tokenizer()
    theirs = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    texts = ["It's 2024: 3.14<|im_end|>", *SPECIAL, *NUMBERS, "é 😀\n\n x"]
    assert theirs("in  24")["input_ids"] != ours.encode("in  24").tolist()
    theirs.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    for text in texts:
        assert ours.encode(text).tolist() == theirs(text)["input_ids"]


# --- other kinds ---------------------------------------------------------


def written(path: Path, metadata: dict) -> Path:
    """The same as a file, written by gguf."""
    writer = GGUFWriter(path, "llama")
    for name, value in metadata.items():
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif name != "general.architecture":
            writer.add_string(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@cache
def both(pre: str):
    with tempfile.TemporaryDirectory() as name:
        path = written(Path(name) / "a.gguf", small(pre))
        ours = gguf_tokenizer(open_gguf(path).metadata)
        theirs = AutoTokenizer.from_pretrained(name, gguf_file=path.name)
    if pre == "smollm":
        theirs.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    return ours, theirs


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
@given(text=TYPED | st.sampled_from([CORPUS, *ADDED]))
@example(text="<s>THERE'S 12345<think>\r\n\n \t(x) <|end|>")
def test_ids_of_each_pre_tokenizer_are_those_of_transformers(pre, text):
    """transformers leaves out Qwen's normalization, so it is done here."""
    ours, theirs = both(pre)
    text = unicodedata.normalize("NFC", re.sub(NEWER_NUMBERS, "", text))
    assert ours.encode(text).tolist() == theirs(text)["input_ids"]


def test_qwen_composes_what_is_typed_in_parts():
    ours, _ = both("qwen2")
    parts = unicodedata.normalize("NFD", "été")
    assert ours.encode(parts).tolist() == ours.encode("été").tolist()
    other, _ = both("gpt-2")
    assert other.encode(parts).tolist() != other.encode("été").tolist()


def test_what_gpt2_s_split_cannot_do_is_run_by_the_library_and_said():
    for pre in PRE_TOKENIZERS:
        tokenizer = both(pre)[0]
        theirs = isinstance(tokenizer._tokenizer, LibraryBytePair)
        assert theirs == (pre in ("llama-bpe", "qwen2"))
        assert theirs == ("Hugging Face's tokenizers" in tokenizer.about)


def test_a_token_before_each_text_is_as_the_metadata_say():
    metadata = small("gpt-2") | {"tokenizer.ggml.add_bos_token": True}
    ours = gguf_tokenizer(metadata)
    expected = gguf_tokenizer(small("gpt-2")).encode("there")
    assert ours.encode("there").tolist() == [0, *expected]
    assert ours.encode_ordinary("there").tolist() == expected.tolist()


def test_a_text_ends_at_each_token_that_is_named_as_an_end():
    assert gguf_tokenizer(small("gpt-2")).ends == (1, 0)


def test_metadata_may_be_arrays():
    metadata = small("smollm")
    kinds = np.array(metadata["tokenizer.ggml.token_type"], np.int32)
    arrays = metadata | {"tokenizer.ggml.token_type": kinds}
    ours, same = gguf_tokenizer(arrays), gguf_tokenizer(metadata)
    assert ours.encode(CORPUS).tolist() == same.encode(CORPUS).tolist()


GONE = object()
WRONG = {
    "SentencePiece": (
        {"model": "llama"},
        r"byte-level BPE \(tokenizer.ggml.model 'gpt2'\), got 'llama'; a "
        "folder of the model with tokenizer.json may do",
    ),
    "no kind": ({"model": GONE}, "byte-level BPE .*, got None"),
    "pre": (
        {"pre": "tekken"},
        "one of gpt-2, smollm, llama-bpe, qwen2, got 'tekken'",
    ),
    "no pre": ({"pre": GONE}, "one of .*, got None"),
    "a space": ({"add_space_prefix": True}, "to be false for .*, got true"),
    "no tokens": ({"tokens": GONE}, "tokenizer.ggml.tokens, got none"),
    "no merges": ({"merges": GONE}, "tokenizer.ggml.merges, got none"),
    "no types": ({"token_type": GONE}, "ggml.token_type, got none"),
    "few types": ({"token_type": [1]}, "each of 286 tokens, got 1"),
    "an end": ({"eos_token_id": SIZE}, "eos_token_id to be from 0 to 285"),
    "no beginning": (
        {"bos_token_id": GONE, "add_bos_token": True},
        "ggml.bos_token_id beside tokenizer.ggml.add_bos_token, got none",
    ),
    "a merge": ({"merges": ["a b", "ab"]}, r"got \('ab',\) in merge 1"),
    "a merge of more": ({"merges": ["a b c"]}, "two tokens, got .*'c'"),
    "a merge of none": ({"merges": ["q w"]}, "an id for each merge.*'qw'"),
    "a template": ({"chat": "{% for %}"}, "chat template in Jinja's lang"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_metadata_that_are_odd_are_refused_in_one_line(kind):
    changes, message = WRONG[kind]
    metadata = {**small("gpt-2")}
    for key, value in changes.items():
        name = f"tokenizer.ggml.{key}"
        name = "tokenizer.chat_template" if key == "chat" else name
        metadata[name] = value
        if value is GONE:
            del metadata[name]
    with pytest.raises(ValueError, match=f"^expected .*{message}") as error:
        gguf_tokenizer(metadata)
    assert "\n" not in str(error.value)


def test_a_token_that_comes_twice_is_refused():
    metadata = {**small("gpt-2")}
    tokens = metadata["tokenizer.ggml.tokens"]
    metadata["tokenizer.ggml.tokens"] = [*tokens[:-1], tokens[5]]
    with pytest.raises(ValueError, match=r"got '\"' as 5 and 285$"):
        gguf_tokenizer(metadata)
