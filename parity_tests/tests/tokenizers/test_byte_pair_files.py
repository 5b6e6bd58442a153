"""Byte-level BPE of a folder, in all forms of its files."""

import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    ByteLevelBPETokenizer,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
)
from transformers import (
    AutoTokenizer,
    GPT2Tokenizer,
    PreTrainedTokenizerFast,
)

from numpy_ref.checkpoints import byte_pair_files
from numpy_ref.checkpoints.byte_pair_files import (
    byte_pair_of,
    end_ids,
    save_byte_pair,
)
from numpy_ref.tokenizers import byte_pair_json
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.bpe_training import train_bpe
from numpy_ref.tokenizers.library_byte_pair import LibraryBytePair
from numpy_ref.tokenizers.merges_files import byte_letters, letters_of
from numpy_ref.tokenizers.rank_files import save_ranks
from numpy_ref.tokenizers.renumbered import RenumberedTokenizer
from numpy_ref.tokenizers.text_stream import stream_text
from parity_tests.oracles.tokenizers import (
    CHARACTERS,
    END_OF_TEXT,
    PIECES,
    TEXT,
)
from parity_tests.tests.conftest import one_in

SIZE = 450
CORPUS = (
    "O gato está na casa. A menina não está; it's there, there: 123 " * 9
)
WORDS = [
    *(
        "gato",
        " gato",
        "<m>",
        "  <m>\n ",
        "<r>\n\n x",
        "<pad>",
        "<s>",
        "<M>",
    ),
    *("casa<|endoftext|>", END_OF_TEXT * 2, "agatox", "gato gato", "está"),
]
TYPED = st.one_of(
    TEXT,
    st.lists(st.sampled_from(WORDS) | TEXT, max_size=5).map("".join),
)


@cache
def trained(specials=(END_OF_TEXT,)) -> ByteLevelBPETokenizer:
    """Trained once; it is saved or copied, and never changed."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        [CORPUS], vocab_size=400, special_tokens=[*specials]
    )
    return tokenizer


def two_files(folder: Path, specials=(END_OF_TEXT,)) -> None:
    """`vocab.json` and `merges.txt`, special tokens first."""
    trained(specials).save_model(str(folder))


def saved(folder: Path, *added, **options) -> None:
    """As transformers saves a tokenizer that was read from two files."""
    two_files(folder)
    files = folder / "vocab.json", folder / "merges.txt"
    tokenizer = GPT2Tokenizer(*map(str, files), **options)
    tokenizer.add_tokens([*added])
    for path in files:
        path.unlink()
    tokenizer.save_pretrained(folder)


def saved_whole(folder: Path, change) -> None:
    """As transformers saves any other tokenizer, here with a change."""
    tokenizer = Tokenizer.from_str(trained().to_str())
    change(tokenizer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END_OF_TEXT
    ).save_pretrained(folder)


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


def any_order(folder: Path) -> None:
    """Letters sorted, ids drawn, some ids without a token."""
    two_files(folder)
    path = folder / "vocab.json"
    names = sorted(json.loads(path.read_text("utf-8")))
    ids = np.random.default_rng(0).permutation(len(names)).tolist()
    path.write_text(json.dumps(dict(zip(names, ids, strict=True))))


def unused(folder: Path) -> None:
    """Filled up, so that the model has as many tokens as another."""
    two_files(folder)
    edit(
        folder / "vocab.json",
        lambda ids: ids.update(
            {f"unused{index}": index for index in range(len(ids), SIZE)}
        ),
    )


def older_files(folder: Path) -> None:
    """As transformers 4 saved a tokenizer with added tokens."""
    two_files(folder)
    size = len(json.loads((folder / "vocab.json").read_text("utf-8")))
    words = {"gato": size, "<pad>": size + 1}
    (folder / "added_tokens.json").write_text(json.dumps(words))
    named = {"pad_token": "<pad>", "eos_token": END_OF_TEXT}
    named["bos_token"] = {"content": "<s>", "lstrip": True}
    (folder / "special_tokens_map.json").write_text(json.dumps(named))


def declared_files(folder: Path) -> None:
    """Tokens in the config, as transformers 4.40 wrote them."""
    two_files(folder)
    size = len(json.loads((folder / "vocab.json").read_text("utf-8")))
    token = AddedToken("<m>", lstrip=True, special=True).__getstate__()
    config = {
        "tokenizer_class": "GPT2Tokenizer",
        "added_tokens_decoder": {size: token},
        "additional_special_tokens": ["<m>"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def no_merges(folder: Path) -> None:
    """Bytes alone, each with a token."""
    two_files(folder)
    ids = {token: index for index, token in enumerate(byte_letters(), 1)}
    text = json.dumps({END_OF_TEXT: 0} | ids)
    (folder / "vocab.json").write_text(text)
    (folder / "merges.txt").write_text("#version: 0.2\n")


def with_line_ends(folder: Path) -> None:
    """Files that Windows has touched."""
    two_files(folder)
    path = folder / "merges.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def with_begin(folder: Path) -> None:
    two_files(folder)
    config = {"add_bos_token": True, "bos_token": END_OF_TEXT}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def without_letters(folder: Path) -> None:
    """No token for some bytes: transformers leaves them out."""
    two_files(folder)
    edit(
        folder / "vocab.json", lambda ids: [ids.pop(c) for c in "ðŁĺ\u0100"]
    )


def with_unknown(tokenizer: Tokenizer) -> None:
    """No token for some bytes, but one that says so."""
    model = json.loads(tokenizer.to_str())["model"]
    for letter in "ðŁĺ\u0100":
        del model["vocab"][letter]
    tokenizer.model = models.BPE(
        model["vocab"],
        [tuple(pair) for pair in model["merges"]],
        unk_token=END_OF_TEXT,
    )


def twice_made(folder: Path) -> None:
    """A second merge that makes a token, after which it merges on."""
    two_files(folder)
    ids = {END_OF_TEXT: 0}
    pairs = ["b c", "a b", "ab c", "a bc", "abc d"]
    for token in [*byte_letters(), *(p.replace(" ", "") for p in pairs)]:
        ids.setdefault(token, len(ids))
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]))


def by_pattern(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?\p{L}+"), "isolated"),
            pre_tokenizers.ByteLevel(
                add_prefix_space=False, use_regex=False
            ),
        ]
    )


def by_digits(tokenizer: Tokenizer) -> None:
    """As StarCoder's and SmolLM's files say it."""
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )


def in_lower_case(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Lowercase()]
    )
    tokenizer.add_tokens([AddedToken("<M>", normalized=True)])


def ignoring_merges(tokenizer: Tokenizer) -> None:
    tokenizer.model.ignore_merges = True


def nothing(tokenizer: Tokenizer) -> None:
    pass


STRIPPING = (
    AddedToken("gato", special=False),
    AddedToken("<m>", lstrip=True, special=True),
    AddedToken("<r>", rstrip=True, special=True, normalized=False),
    AddedToken("<m><r>", normalized=True),
)
OURS = {
    "two files": two_files,
    "any order": any_order,
    "unused ids": unused,
    "CRLF": with_line_ends,
    "no merges": no_merges,
    "saved": saved,
    "saved, with added tokens": lambda f: saved(f, *STRIPPING),
    "saved whole": lambda f: saved_whole(f, nothing),
    "digits alone": lambda f: saved_whole(f, by_digits),
    "files of transformers 4": older_files,
    "4 bytes without a token": without_letters,
    "tokens in the config": declared_files,
    "of twice train": lambda f: save_byte_pair(f, train_bpe(CORPUS, 400)),
}
THEIRS = {
    "add_prefix_space": lambda f: saved(f, add_prefix_space=True),
    "a template": with_begin,
    "a template, saved": lambda f: saved(f, add_bos_token=True),
    "another pattern": lambda f: saved_whole(f, by_pattern),
    "a normalizer": lambda f: saved_whole(f, in_lower_case),
    "ignore_merges": lambda f: saved_whole(f, ignoring_merges),
    "single_word": lambda f: saved(f, AddedToken("gato", single_word=True)),
    "white space at the edge": lambda f: saved(f, AddedToken(" gato")),
    "4 bytes that become": lambda f: saved_whole(f, with_unknown),
    "one merge for each token": twice_made,
}
KINDS = OURS | THEIRS


def make(folder: Path, kind: str, **config) -> Path:
    """A folder with the tokenizer files of a kind."""
    ends = {"bos_token_id": None, "eos_token_id": None, "vocab_size": SIZE}
    entries = {"model_type": "gpt2"} | ends | config
    (folder / "config.json").write_text(json.dumps(entries))
    KINDS[kind](folder)
    return folder


@cache
def both(kind: str):
    with tempfile.TemporaryDirectory() as name:
        folder = make(Path(name), kind)
        theirs = AutoTokenizer.from_pretrained(folder)
        return byte_pair_of(folder, SIZE), theirs


@pytest.mark.parametrize("kind", one_in(3, KINDS))
@given(text=TYPED)
@settings(max_examples=settings().max_examples // 2)
@example(text="a<m> <r>  b\u3000<m>gato<pad>\n")
def test_ids_of_each_kind_of_folder_are_those_of_transformers(kind, text):
    """With its special tokens, and without any."""
    ours, theirs = both(kind)
    assert ours.encode(text).tolist() == theirs(text)["input_ids"]
    expected = theirs(
        text, add_special_tokens=False, split_special_tokens=True
    )
    assert ours.encode_ordinary(text).tolist() == expected["input_ids"]


# One for each way to number, to part and to merge.
UNLIKE = ("any order", "saved, with added tokens", "of twice train")


@pytest.mark.slow
@pytest.mark.parametrize("kind", UNLIKE)
def test_fifty_thousand_texts_give_the_ids_of_the_library(kind):
    ours, theirs = both(kind)
    chance, backend = random.Random(kind), theirs.backend_tokenizer
    # What `split_special_tokens` asked for in one call stays set.
    backend.encode_special_tokens = False
    pieces = [*WORDS, *PIECES]
    for _ in range(50):
        texts = [
            "".join(
                chance.choices(pieces, k=chance.randrange(9))
                + chance.choices(CHARACTERS, k=chance.randrange(5))
            )
            for _ in range(1000)
        ]
        encodings = backend.encode_batch_fast(texts)
        for text, encoding in zip(texts, encodings, strict=True):
            assert ours.encode(text).tolist() == encoding.ids, text


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_does_what_it_can_and_the_rest_is_said(kind):
    ours, _ = both(kind)
    if kind in OURS:
        assert isinstance(ours, RenumberedTokenizer)
        assert ours.about == ""
    else:
        assert isinstance(ours, LibraryBytePair)
        assert "Hugging Face's tokenizers: " in ours.about
        assert kind.removesuffix(", saved") in ours.about


@pytest.mark.parametrize("kind", one_in(3, OURS))
@given(text=TEXT)
def test_a_text_comes_back_from_the_ids_of_its_vocabulary(kind, text):
    ours, _ = both(kind)
    text = without_bytes(text, ours.absent)
    ids = ours.encode_ordinary(text)
    assert ours.decode(ids) == text
    assert "".join(stream_text(ids.tolist(), ours.tokens)) == text
    spans = ours.spans(ids)
    assert spans[:1, 0].tolist() == [0][: len(ids)]
    assert (ids.size == 0) or spans[-1, 1] == len(text)


def without_bytes(text: str, absent: bytes) -> str:
    """The characters that have a token for each of their bytes."""
    return "".join(c for c in text if not {*c.encode()} & {*absent})


def test_tokens_are_those_that_transformers_decodes():
    for kind in OURS:
        ours, theirs = both(kind)
        for index in theirs.get_vocab().values():
            decoded = ours.tokens[index].decode(errors="replace")
            assert decoded == theirs.decode([index])
        assert len(ours.tokens) == SIZE


@pytest.mark.parametrize("kind", ["saved, with added tokens", "a template"])
def test_where_no_special_token_is_allowed_one_is_refused(kind):
    ours, _ = both(kind)
    with pytest.raises(ValueError, match="without special tokens, got '<"):
        ours.encode(f"a {END_OF_TEXT}", allowed_special=())
    expected = ours.encode_ordinary("a gato")
    strict = ours.encode("a gato", allowed_special=())
    assert strict.tolist()[-len(expected) :] == expected.tolist()


def test_some_special_tokens_count_and_others_do_not():
    ours, theirs = both("saved, with added tokens")
    ids = ours.encode(f"<r>{END_OF_TEXT}", {"<r>"}, ())
    index = theirs.convert_tokens_to_ids("<r>")
    assert ids[0] == index
    assert ours.special_tokens[END_OF_TEXT] not in ids
    library, _ = both("a template")
    library.special_tokens["<x>"] = 7
    try:
        with pytest.raises(ValueError, match=r'special="all" or \(\) for'):
            library.encode("a", {"<x>"})
    finally:
        del library.special_tokens["<x>"]


@given(text=TYPED)
def test_of_a_roberta_s_text_alone_ids_are_those_of_transformers(text):
    ours, theirs = roberta()
    expected = theirs(text, add_special_tokens=False)["input_ids"]
    assert ours.encode(text).tolist() == expected


@cache
def roberta():
    """Without the template, and with it as transformers has it."""
    names = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        two_files(folder, names)
        config = {"model_type": "roberta", "vocab_size": SIZE}
        (folder / "config.json").write_text(json.dumps(config))
        mask = AddedToken(
            "<mask>", lstrip=True, special=True
        ).__getstate__()
        entries = {"mask_token": mask | {"__type": "AddedToken"}}
        (folder / "tokenizer_config.json").write_text(json.dumps(entries))
        theirs = AutoTokenizer.from_pretrained(folder)
        whole = byte_pair_of(folder, SIZE)
        ids = whole.encode("gato <mask>").tolist()
        assert ids == theirs("gato <mask>")["input_ids"]
        alone = byte_pair_of(folder, SIZE, template=False)
        assert isinstance(alone, RenumberedTokenizer)
        return alone, theirs


# --- which file counts ---------------------------------------------------


def test_of_two_vocabularies_the_newer_counts_and_both_are_named(tmp_path):
    make(tmp_path, "saved")
    two_files(tmp_path)
    assert byte_pair_of(tmp_path, SIZE).about == ""
    path = tmp_path / "merges.txt"
    path.write_text("\n".join(path.read_text("utf-8").split("\n")[:-9]))
    save_ranks(np.array([[64, 64]]), tmp_path / "tokenizer.tiktoken")
    ours = byte_pair_of(tmp_path, SIZE)
    text = "O gato está na casa"
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert ours.encode(text).tolist() == theirs(text)["input_ids"]
    assert ours.about == (
        "tokenizer.json is read, from which vocab.json and merges.txt and "
        "tokenizer.tiktoken differ"
    )


@pytest.fixture
def small_openai(monkeypatch):
    """257 tokens in the place of OpenAI's 50,257, which take a second."""
    small = BytePairTokenizer(np.zeros((0, 2), np.int64), (END_OF_TEXT,))
    monkeypatch.setattr(byte_pair_files, "gpt2_tokenizer", lambda: small)
    return small


def test_a_vocabulary_of_openai_s_size_is_not_taken_for_openai_s(
    tmp_path, small_openai
):
    make(tmp_path, "no merges", vocab_size=257)
    ours = byte_pair_of(tmp_path, 257)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    ids = ours.encode("O gato está").tolist()
    assert ids == theirs("O gato está")["input_ids"]
    assert ids != small_openai.encode("O gato está").tolist()
    assert ours.about == ""


def test_without_any_file_it_is_openai_s_and_that_is_said(
    tmp_path, small_openai
):
    ours = byte_pair_of(tmp_path, 257)
    assert ours is small_openai
    assert ours.about == (
        "the folder has no tokenizer, so the tokens are those of OpenAI's "
        "GPT-2"
    )
    message = "of 450 tokens for .*, got one of 257, OpenAI's for GPT-2"
    with pytest.raises(ValueError, match=message):
        byte_pair_of(tmp_path, SIZE)


@pytest.mark.parametrize(
    "name",
    [name for name in byte_pair_files.FILES if name != "tokenizer.json"],
)
def test_with_any_file_of_a_tokenizer_it_is_never_openai_s(
    tmp_path, small_openai, name
):
    (tmp_path / name).write_text("{}\n")
    with pytest.raises(ValueError, match=r"^expected .*, got "):
        byte_pair_of(tmp_path, 257)


def test_what_twice_train_wrote_before_is_still_read(tmp_path):
    merges = train_bpe(CORPUS, 300)
    save_ranks(merges, tmp_path / "tokenizer.tiktoken")
    ours = byte_pair_of(tmp_path, 257 + len(merges))
    np.testing.assert_array_equal(ours.merges, merges)
    assert ours.encode(f"a{END_OF_TEXT}")[-1] == 256 + len(merges)
    with pytest.raises(ValueError, match="a tokenizer of 7 tokens for"):
        byte_pair_of(tmp_path, 7)


def test_text_ends_where_the_configuration_says(tmp_path):
    assert end_ids(tmp_path, 9) == ()
    for name, index, expected in (
        ("config.json", None, ()),
        ("config.json", 50256, ()),
        ("config.json", 3, (3,)),
        ("generation_config.json", [5, 7, 9], (5, 7)),
    ):
        entries = json.dumps({"eos_token_id": index})
        (tmp_path / name).write_text(entries)
        assert end_ids(tmp_path, 9) == expected


# --- refusals ------------------------------------------------------------


def of_model(**changes):
    """A change of the model in `tokenizer.json`."""
    return "tokenizer.json", lambda c: c["model"].update(changes)


def of_file(**changes):
    return "tokenizer.json", lambda c: c.update(changes)


def of_config(**changes):
    return "tokenizer_config.json", lambda c: c.update(changes)


def added(content: str, index: int):
    entry = {"content": content, "id": index, "special": True}
    return "tokenizer.json", lambda c: c["added_tokens"].append(entry)


WRONG = {
    "dropout": (of_model(dropout=0.1), "a BPE without dropout, got 0.1"),
    "a suffix": (
        of_model(end_of_word_suffix="</w>"),
        "a BPE without end_of_word_suffix, got '</w>'",
    ),
    "WordPiece": (of_model(type="WordPiece"), "model of a BPE, got WordP"),
    "no model": (of_file(model=None), "the model of a BPE, got None"),
    "no merges": (of_model(merges=None), "list of merges, got NoneType"),
    "a triple": (of_model(merges=["a b c"]), "tokens, got .* in merge 0"),
    "a nest": (of_model(merges=[["a", ["b"]]]), r"\['b'\]\) in merge 0"),
    "a list": (of_model(vocab=["a"]), "tokens and ids, got list"),
    "an id": (of_model(vocab={"a": -1}), "at least 0 for 'a', got -1"),
    "no bytes": (
        of_file(pre_tokenizer={"type": "Whitespace"}),
        "pre-tokenizer that ends in ByteLevel, got Whitespace",
    ),
    "NFC": (
        of_file(normalizer={"type": "NFC"}),
        "to agree, got normalizer None in the one, as GPT2Tokenizer reads",
    ),
    "prefix space": (
        of_config(add_prefix_space=True),
        "got add_prefix_space True in the one, .* and False in the other",
    ),
    "ignoring": (
        of_model(ignore_merges=True),
        "to agree, got ignore_merges False in the one, .* and True in the",
    ),
    "a beginning": (
        of_config(add_bos_token=True),
        "to agree, got add_bos_token True in the one",
    ),
    "another class": (
        of_config(tokenizer_class="LlamaTokenizerFast"),
        "expected tokenizer_class in .*, got LlamaTokenizerFast",
    ),
    "specials as text": (
        of_config(split_special_tokens=True),
        "expected no split_special_tokens in .*, got true",
    ),
    "an id that skips": (
        added("<x>", 449),
        "'<x>' in .* the id 294, got 449",
    ),
    "another id": (
        of_config(
            added_tokens_decoder={"9": {"content": END_OF_TEXT}},
        ),
        r"one id for the added token '<\|endoftext\|>' in .*, got 0 and 9",
    ),
    "other bytes": (added("é", 166), "token 'é' to mean nothing else, got"),
    "no product": (
        of_model(merges=[["a", "q"]]),
        "such as 'aq'",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_honoured_is_refused_by_name(tmp_path, kind):
    (name, change), message = WRONG[kind]
    make(tmp_path, "saved")
    edit(tmp_path / name, change)
    with pytest.raises(ValueError, match=message) as error:
        byte_pair_of(tmp_path, SIZE)
    assert str(tmp_path) in str(error.value)


def test_the_file_alone_counts_where_the_config_says_so(tmp_path):
    make(tmp_path, "saved")
    edit(*(tmp_path / "tokenizer.json", of_model(ignore_merges=True)[1]))
    path = tmp_path / "tokenizer_config.json"
    edit(path, of_config(tokenizer_class="PreTrainedTokenizerFast")[1])
    assert "ignore_merges" in byte_pair_of(tmp_path, SIZE).about
    edit(path, of_config(add_prefix_space=True)[1])
    with pytest.raises(
        ValueError, match="add_prefix_space True in the one"
    ):
        byte_pair_of(tmp_path, SIZE)


def test_more_tokens_than_the_model_knows_are_refused(tmp_path):
    make(tmp_path, "saved")
    with pytest.raises(ValueError, match=r"at most 290 tokens, .* id 293"):
        byte_pair_of(tmp_path, 290)


def test_one_of_two_files_is_not_enough(tmp_path):
    make(tmp_path, "two files")
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(ValueError, match=r"merges.txt, in .*, got vocab"):
        byte_pair_of(tmp_path, SIZE)


@pytest.mark.parametrize("line", ["a", "a ", "a b c", " b", "", "a\tb"])
def test_a_line_that_is_no_merge_is_refused_with_its_number(tmp_path, line):
    make(tmp_path, "two files")
    (tmp_path / "merges.txt").write_text(
        f"#version: 0.2\na s\n{line}\nt s\n"
    )
    with pytest.raises(ValueError, match="between in line 3 of the merges"):
        byte_pair_of(tmp_path, SIZE)


def test_two_tokens_of_one_id_are_refused(tmp_path):
    make(tmp_path, "two files")
    edit(tmp_path / "vocab.json", lambda ids: ids.update({"zz": 9}))
    with pytest.raises(ValueError, match="id for each token, got 9 for"):
        byte_pair_of(tmp_path, SIZE)


def test_without_the_library_what_it_alone_can_do_is_refused(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(byte_pair_json, "find_spec", lambda name: None)
    make(tmp_path, "a normalizer")
    message = "the package tokenizers, which alone can honour a normalizer"
    with pytest.raises(ValueError, match=message):
        byte_pair_of(tmp_path, SIZE)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    assert byte_pair_of(make(tmp_path, "saved"), SIZE).encode("a").size == 1


def test_letters_spell_every_byte():
    data = bytes(range(256))
    theirs = pre_tokenizers.ByteLevel.alphabet()
    assert set(letters_of(data)) == set(theirs) == set(byte_letters())


def test_a_lone_surrogate_is_refused_by_either():
    for kind in ("saved", "a template"):
        with pytest.raises(ValueError, match="without lone surrogates"):
            both(kind)[0].encode("a\udc00")
