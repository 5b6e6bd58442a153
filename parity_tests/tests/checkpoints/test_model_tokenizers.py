"""The tokenizer of a folder, beside what transformers makes of it."""

import json
import random
import string
from functools import cache
from pathlib import Path

import pytest
import transformers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import (
    ByteLevelBPETokenizer,
    Tokenizer,
)

from numpy_ref.checkpoints.model_tokenizers import tokenizer_of
from numpy_ref.checkpoints.tokenizer_files import read_tokenizer
from numpy_ref.tokenizers.library_tokenizer import LibraryTokenizer
from numpy_ref.tokenizers.wordpiece import (
    SpecialNames,
    WordPieceTokenizer,
)
from parity_tests.tests.conftest import one_in
from parity_tests.tests.tokenizers.test_wordpiece import (
    LOOKED_AT,
    disputed,
    keeps_a_mark,
)

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
OTHER_SPECIAL = ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>")
LETTERS = f"{string.ascii_letters}{string.digits}éïüÉß的中人"
WORDS = (
    *("the", "cat", "##s", "un", "##want", "##ed", "naïve", "naive"),
    *("Naïve", "中人", "##中人", "graft", "##graft"),
    *string.punctuation,
)
VOCABULARY = (
    *WORDS,
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS if letter not in "ß人"),
)

# Of what the texts are made; nothing in it is new to any Unicode table.
PIECES = (
    *("the", "cat", "cats", "unwanted", "Naïve", "NAI\u0308VE", "中人有"),
    *("graft", "grafts", "GRAFT", "[PERSON]", "[person]", "ingraft"),
    *(*SPECIAL, *OTHER_SPECIAL, "[mask]", "-", "'s", "…", "“", "é", "ß"),
    *(" ", "  ", "\n", "\t", "\0", "\u200b", "\xa0", "q", "Q", "a" * 101),
)
TEXT = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
# Where a token takes the spaces beside it along, only spans say so.
SPACED = "the  [MASK]  cats  [PERSON]  un graft"
ADDED = transformers.AddedToken


def bert(special=SPECIAL, more=VOCABULARY, **options):
    """transformers' BERT tokenizer with a small vocabulary."""
    tokens = dict.fromkeys([*special, *more])
    names = ("pad", "unk", "cls", "sep", "mask")
    return transformers.BertTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        **{
            f"{name}_token": token
            for name, token in zip(names, special, strict=True)
        },
        **options,
    )


def with_added(*added, **options):
    """The same, with tokens that a user added."""
    tokenizer = bert(**options)
    tokenizer.add_tokens([*added])
    return tokenizer


def with_special(**options):
    tokenizer = bert(**options)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["[PERSON]"]}
    )
    return tokenizer


def distilled():
    """DistilBERT's own form: an older way to name the template."""
    tokenizer = bert()
    backend = tokenizer.backend_tokenizer
    entries = json.loads(backend.to_str())
    entries["post_processor"] = {
        "type": "BertProcessing",
        "sep": ["[SEP]", 3],
        "cls": ["[CLS]", 2],
    }
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(entries))
    return tokenizer


def bytes_of_roberta():
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        ["the cats unwanted naïve 中人 " * 9],
        vocab_size=320,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    )
    model = json.loads(trained._tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    return transformers.RobertaTokenizer(
        vocab=model["vocab"], merges=merges
    )


def unigrams_of_albert():
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [(token, 0.0) for token in special]
    pieces += [(f"▁{word}", -3.0) for word in ("the", "cat", "un")]
    pieces += [(letter, -9.0) for letter in ("▁", *LETTERS)]
    return transformers.AlbertTokenizer(vocab=pieces)


def changed(change):
    """A tokenizer whose `tokenizer.json` counts alone, after a change."""
    entries = json.loads(bert().backend_tokenizer.to_str())
    change(entries)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(entries)),
        unk_token="[UNK]",
    )


def keeping_controls(entries):
    entries["normalizer"]["clean_text"] = False


def with_another_prefix(entries):
    model = entries["model"]
    model["continuing_subword_prefix"] = "@@"
    model["vocab"] = {
        token.replace("##", "@@"): index
        for token, index in model["vocab"].items()
    }


def split_at_spaces(entries):
    entries["pre_tokenizer"] = {"type": "WhitespaceSplit"}


def with_one_token_more(entries):
    end = entries["post_processor"]["single"][-1]
    entries["post_processor"]["single"].append(end)


# What transformers saves today: `tokenizer.json` and its config.
SAVED = {
    "uncased": bert,
    "cased": lambda: bert(do_lower_case=False),
    "accents kept": lambda: bert(strip_accents=False),
    "accents alone stripped": lambda: bert(
        do_lower_case=False, strip_accents=True
    ),
    "Chinese unsplit": lambda: bert(tokenize_chinese_chars=False),
    "other names": lambda: bert(OTHER_SPECIAL),
    "an added word": lambda: with_added("graft", "[PERSON]"),
    "an added word, cased": lambda: with_added(
        "Graft", "GRAFT", "中人", do_lower_case=False
    ),
    "a word as it is typed": lambda: with_added(
        ADDED("GRAFT", normalized=False)
    ),
    "a special token": with_special,
    "DistilBERT's template": distilled,
}
# The same, where our own would not honour it.
THEIRS = {
    "a whole word": lambda: with_added(ADDED("graft", single_word=True)),
    "its own spaces": lambda: with_added(
        ADDED("graft", lstrip=True), ADDED("[PERSON]", rstrip=True)
    ),
    "controls kept": lambda: changed(keeping_controls),
    "another prefix": lambda: changed(with_another_prefix),
    "split at spaces": lambda: changed(split_at_spaces),
    "another template": lambda: changed(with_one_token_more),
    "RoBERTa's bytes": bytes_of_roberta,
    "ALBERT's unigrams": unigrams_of_albert,
}
ALL = SAVED | THEIRS


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders as transformers saves them, and what it reads of them."""

    @cache
    def of(kind: str):
        folder = tmp_path_factory.mktemp("tokenizer")
        ALL[kind]().save_pretrained(folder)
        return folder, transformers.AutoTokenizer.from_pretrained(folder)

    return of


@cache
def read(folder: Path):
    """What is read of a folder that no test changes."""
    return tokenizer_of(folder)


def expect_the_same(ours, theirs, *texts: str) -> None:
    encoding = theirs(*texts, return_offsets_mapping=True, verbose=False)
    encoded = ours.encode(*texts)
    tokens = theirs.convert_ids_to_tokens(encoding["input_ids"])
    assert encoded.tokens == tokens
    assert encoded.ids.tolist() == encoding["input_ids"]
    spans = [tuple(map(int, span)) for span in encoding["offset_mapping"]]
    assert list(map(tuple, encoded.spans.tolist())) == spans
    if "token_type_ids" in encoding:
        assert encoded.segments.tolist() == encoding["token_type_ids"]


@pytest.mark.parametrize("kind", one_in(3, ALL))
@given(text=TEXT, second=TEXT)
@settings(max_examples=settings().max_examples // 2)
@example(text=SPACED, second="GRAFT  Naïve 中人有")
def test_a_saved_tokenizer_is_read_as_transformers_reads_it(
    saved, kind, text, second
):
    folder, theirs = saved(kind)
    expect_the_same(read(folder), theirs, text)
    if second:  # to transformers, an empty second text is none
        expect_the_same(read(folder), theirs, text, second)


def test_our_own_wordpiece_reads_what_it_honours(saved):
    kinds = {kind: type(tokenizer_of(saved(kind)[0])) for kind in ALL}
    assert kinds == dict.fromkeys(SAVED, WordPieceTokenizer) | (
        dict.fromkeys(THEIRS, LibraryTokenizer)
    )


@cache
def characters() -> list[str]:
    """Those that no two versions of Unicode see differently."""
    disputes = disputed(True) | disputed(False)
    return [
        character
        for character in LOOKED_AT
        if character not in disputes and not keeps_a_mark(character)
    ]


def random_text(chance: random.Random) -> str:
    pieces = chance.choices(PIECES, k=chance.randrange(9))
    pieces += chance.choices(characters(), k=chance.randrange(5))
    return "".join(chance.sample(pieces, len(pieces)))


# One for each option: what changes names or the template is left out.
OPTIONS = (
    *("uncased", "cased", "accents kept", "accents alone stripped"),
    *("Chinese unsplit", "an added word", "a word as it is typed"),
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPTIONS)
def test_fifty_thousand_texts_give_the_tokens_of_the_library(saved, kind):
    folder, _ = saved(kind)
    ours, entries = tokenizer_of(folder), read_tokenizer(folder)
    library, chance = LibraryTokenizer(*entries), random.Random(kind)
    for _ in range(50):
        texts = [random_text(chance) for _ in range(1000)]
        encodings = library._tokenizer.encode_batch(texts)
        for text, theirs in zip(texts, encodings, strict=True):
            encoded = ours.encode(text)
            assert encoded.ids.tolist() == theirs.ids, text
            assert [*map(tuple, encoded.spans.tolist())] == theirs.offsets


# What older versions saved: `vocab.txt`, and what to do with it.
OLDER = {
    "no config": {},
    "rules": {
        "tokenizer_config.json": {
            "tokenizer_class": "BertTokenizerFast",
            "do_lower_case": True,
            "strip_accents": False,
            "tokenize_chinese_chars": False,
            "never_split": None,
            "do_basic_tokenize": True,
        }
    },
    "names as a map": {
        "special_tokens_map.json": {
            "mask_token": {"content": "graft", "lstrip": False},
            "unk_token": "q",
        }
    },
    "added tokens": {
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizer"},
        "added_tokens.json": {"[PERSON]": 187, "unwanted": 188},
    },
    "added tokens in the config": {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                "187": {"content": "[PERSON]", "special": True},
                "188": {"content": "GRAFT", "normalized": False},
                "189": {"content": "ingraft", "lstrip": True},
            }
        }
    },
    "rules of a named token": {
        "special_tokens_map.json": {
            "mask_token": {"content": "[MASK]", "lstrip": True},
        }
    },
    "rules of a special token": {
        "tokenizer_config.json": {
            "additional_special_tokens": [
                {
                    "__type": "AddedToken",
                    "content": "[PERSON]",
                    "rstrip": True,
                    "normalized": False,
                }
            ]
        }
    },
    "rules, whatever the class": {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "do_lower_case": False,
        }
    },
    "a special token with an id": {
        "tokenizer_config.json": {"additional_special_tokens": ["graft"]}
    },
    "a special token without an id": {
        "tokenizer_config.json": {
            "additional_special_tokens": ["[PERSON]", "[person]"]
        }
    },
}


def write(folder, files: dict):
    """A folder with these files: JSON, text or bytes."""
    for name, content in files.items():
        if isinstance(content, dict | list):
            content = json.dumps(content)
        if isinstance(content, str):
            content = content.encode()
        (folder / name).write_bytes(content)
    return folder


def lines(*tokens: str) -> str:
    return "".join(f"{token}\n" for token in dict.fromkeys(tokens))


VOCAB_TXT = lines(*SPECIAL, *VOCABULARY, "q")


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    @cache
    def of(kind: str):
        folder = tmp_path_factory.mktemp("older")
        write(folder, {"vocab.txt": VOCAB_TXT} | OLDER[kind])
        return folder, transformers.BertTokenizer.from_pretrained(folder)

    return of


def test_special_tokens_go_by_the_names_of_the_tokens():
    tokenizer = with_special()
    tokenizer.add_tokens(
        [ADDED("[Sign]", special=True, normalized=True, rstrip=True)],
        special_tokens=True,
    )
    entries = json.loads(tokenizer.backend_tokenizer.to_str())
    ours = LibraryTokenizer(entries, SpecialNames())
    tokens = ours.encode("a [SIGN] [PERSON]").tokens
    assert tokens == ["[CLS]", "a", "[sign]", "[PERSON]", "[SEP]"]
    assert {"[sign]", "[PERSON]"} <= ours.special_tokens


@given(text=TEXT, second=TEXT)
def test_the_older_files_of_a_roberta_are_read_too(
    roberta_files, text, second
):
    folder, theirs = roberta_files
    expect_the_same(tokenizer_of(folder), theirs, text)
    if second:
        expect_the_same(tokenizer_of(folder), theirs, text, second)


@pytest.fixture(scope="module")
def roberta_files(tmp_path_factory):
    """`vocab.json` and `merges.txt`, and transformers' reading."""
    folder = tmp_path_factory.mktemp("roberta")
    model = json.loads(bytes_of_roberta().backend_tokenizer.to_str())
    vocabulary, merges = (model["model"][n] for n in ("vocab", "merges"))
    write(
        folder,
        {
            "vocab.json": vocabulary,
            "merges.txt": lines("#version: 0.2", *map(" ".join, merges)),
            "config.json": {"model_type": "roberta"},
        },
    )
    return folder, transformers.AutoTokenizer.from_pretrained(folder)


def test_a_pair_for_roberta_has_two_segments_to_be_shown(roberta_files):
    encoded = tokenizer_of(roberta_files[0]).encode("the", "cats")
    ends = [i for i, t in enumerate(encoded.tokens) if t == "</s>"]
    first, second, last = ends
    assert second == first + 1
    expected = [0] * (second + 1) + [1] * (last - second)
    assert encoded.segments.tolist() == expected


@pytest.mark.parametrize("kind", one_in(3, OLDER))
@given(text=TEXT)
@example(text=SPACED)
def test_an_older_folder_is_read_as_transformers_reads_it(
    older, kind, text
):
    folder, theirs = older(kind)
    expect_the_same(read(folder), theirs, text)


def test_tokenizer_json_counts_more_than_an_old_vocabulary(saved, tmp_path):
    folder, theirs = saved("an added word")
    stored = (folder / "tokenizer.json").read_text(encoding="utf-8")
    write(tmp_path, {"tokenizer.json": stored, "vocab.txt": VOCAB_TXT})
    expect_the_same(tokenizer_of(tmp_path), theirs, "a graft [PERSON]")


def test_the_config_counts_more_than_tokenizer_json(saved, tmp_path):
    folder, _ = saved("uncased")
    files = {
        "tokenizer.json": (folder / "tokenizer.json").read_bytes(),
        "tokenizer_config.json": {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": False,
            "strip_accents": True,
        },
    }
    theirs = transformers.AutoTokenizer.from_pretrained(
        write(tmp_path, files)
    )
    expect_the_same(tokenizer_of(tmp_path), theirs, "Naïve NAÏVE")


def test_a_padded_length_of_the_file_is_not_taken(saved, tmp_path):
    entries = json.loads(
        (saved("uncased")[0] / "tokenizer.json").read_text()
    )
    entries["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    entries["padding"] = {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    expected = ["[CLS]", "the", "cat", "the", "cat", "[SEP]"]
    for lstrip in (False, True):
        entries["added_tokens"][0]["lstrip"] = lstrip
        write(tmp_path, {"tokenizer.json": entries})
        encoded = tokenizer_of(tmp_path).encode("the cat the cat")
        assert encoded.tokens == expected


GOOD = {
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2},
    },
    "normalizer": None,
}
# Folders made wrong on purpose, and words of the message.
WRONG = {
    "nothing": ({}, "tokenizer.json or vocab.txt in .*, got neither"),
    "sentencepiece": (
        {"spiece.model": b""},
        r"got spiece\.model; `AutoTokenizer",
    ),
    "no JSON": ({"tokenizer.json": "{"}, r"tokenizer\.json to be JSON"),
    "a list": ({"tokenizer.json": []}, "to hold an object, got list"),
    "no model": ({"tokenizer.json": {"version": "1.0"}}, "a model with a"),
    "no vocabulary": (
        {"tokenizer.json": {"model": {"type": "WordPiece", "vocab": {}}}},
        "a model with a vocab in",
    ),
    "an unknown normalizer": (
        {"tokenizer.json": GOOD | {"normalizer": {"type": "Magic"}}},
        "that tokenizers can read, got .*Magic|did not match",
    ),
    "a rule of another kind": (
        {
            "tokenizer.json": GOOD
            | {
                "normalizer": {
                    "type": "BertNormalizer",
                    "clean_text": True,
                    "handle_chinese_chars": True,
                    "strip_accents": None,
                    "lowercase": "yes",
                }
            }
        },
        "that tokenizers can read",
    ),
    "an added token without an id": (
        {"tokenizer.json": GOOD | {"added_tokens": [{"content": "a"}]}},
        "token 'a' in .* to have the id 3, got None",
    ),
    "an id that is not the next": (
        {"vocab.txt": VOCAB_TXT, "added_tokens.json": {"[X]": 900}},
        r"'\[X\]' in .* to have the id 187, got 900",
    ),
    "two ids": (
        {"vocab.txt": VOCAB_TXT, "added_tokens.json": {"the": 187}},
        "'the' in .* to have the id 5, got 187",
    ),
    "a vocabulary of no tokens": ({"vocab.txt": "\n\n"}, "got 0 tokens"),
    "no [SEP]": ({"vocab.txt": "[UNK]\n[CLS]\n"}, r"without \[SEP\]"),
    "an empty line": ({"vocab.txt": "[UNK]\n\n[CLS]\n"}, "line 2 of"),
    "a token twice": ({"vocab.txt": "a\na\n"}, "'a', that of line 1"),
    "UTF-16": ({"vocab.txt": "a\nb\n".encode("utf-16")}, "to be UTF-8"),
    "a Japanese class": (
        {
            "vocab.txt": VOCAB_TXT,
            "tokenizer_config.json": {
                "tokenizer_class": "BertJapaneseTokenizer"
            },
        },
        "tokenizer_class in .*BertTokenizer.*, got BertJapaneseTokenizer",
    ),
    "words never split": (
        {
            "vocab.txt": VOCAB_TXT,
            "tokenizer_config.json": {"never_split": ["a-b"]},
        },
        r"never_split in .* to be None, got \['a-b'\]",
    ),
    "no basic tokens": (
        {
            "vocab.txt": VOCAB_TXT,
            "tokenizer_config.json": {"do_basic_tokenize": False},
        },
        "do_basic_tokenize in .* to be True, got False",
    ),
    "a name that no line has": (
        {
            "vocab.txt": VOCAB_TXT,
            "tokenizer_config.json": {"cls_token": "<s>"},
        },
        "at most 187 tokens, .* got the id 187 for '<s>'",
    ),
    "too many for the model": (
        {"vocab.txt": VOCAB_TXT, "added_tokens.json": {"[X]": 187}},
        "at most 187 tokens, the size .* got the id 187",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_folder_is_refused_by_name(tmp_path, kind):
    files, message = WRONG[kind]
    with pytest.raises(ValueError, match=message):
        tokenizer_of(write(tmp_path, files), 187)
