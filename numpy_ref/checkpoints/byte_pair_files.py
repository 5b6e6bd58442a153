"""Byte-level BPE of a model's folder: which files say it, and how.

As in transformers' AutoTokenizer, `tokenizer.json` comes first, then
`vocab.json` with `merges.txt`; the last is `tokenizer.tiktoken`, which
`twice train` once wrote alone. `tokenizer_config.json` and its neighbours
name the special tokens. Where an older vocabulary stands beside a newer
one and differs, the tokenizer's `about` says so; where the config and the
vocabulary contradict each other, both are named, and refused.
"""

import json
from operator import itemgetter
from pathlib import Path

from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import checked
from ..files import read_json, write_whole
from ..tokenizers.bpe_tokenizer import BytePairTokenizer
from ..tokenizers.bpe_vocabulary import merged_tokens
from ..tokenizers.byte_pair_json import (
    DIGITS,
    OPTIONS,
    QWEN_2,
    Tokenizer,
    adds_tokens,
    by_pattern,
    byte_level,
    byte_pair_entries,
    byte_pair_of_entries,
    check_is_byte_level,
    check_vocabulary,
    pairs_in,
    steps_of,
    template_of,
)
from ..tokenizers.gpt2_vocabulary import END_OF_TEXT, gpt2_tokenizer
from ..tokenizers.merges_files import letters_of, merge_pairs
from ..tokenizers.rank_files import load_ranks, rank_tokens
from ..tokenizers.tokenizer_json import added_token
from .tokenizer_files import CONFIG, FILE, SPECIALS, declared_in
from .tokens_beside import ADDED, add_tokens, read_optional

RANKS = "tokenizer.tiktoken"
VOCABULARY, MERGES = "vocab.json", "merges.txt"
OF_OTHERS = (
    *("vocab.txt", "tokenizer.model", "spiece.model"),
    *("sentencepiece.bpe.model", "tekken.json"),
)
FILES = (
    *(FILE, VOCABULARY, MERGES, RANKS),
    *(CONFIG, SPECIALS, ADDED, *OF_OTHERS),
)

# Classes of transformers, and the special tokens that each has where no
# file names others.
CLASSES = {
    "GPT2Tokenizer": dict.fromkeys(
        ("unk_token", "bos_token", "eos_token"), END_OF_TEXT
    ),
    "RobertaTokenizer": {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "mask_token": "<mask>",
    },
    "Qwen2Tokenizer": dict.fromkeys(
        ("unk_token", "eos_token", "pad_token"), END_OF_TEXT
    ),
}
# Classes that take all from `tokenizer.json`.
BACKENDS = ("PreTrainedTokenizer", "TokenizersBackend")
CLASS_OF_MODEL = {
    "gpt2": "GPT2Tokenizer",
    "roberta": "RobertaTokenizer",
    "llama": BACKENDS[0],
    "mistral": BACKENDS[0],
    "qwen2": "Qwen2Tokenizer",
    "qwen3": "Qwen2Tokenizer",
}


def byte_pair_of(
    folder: Path, vocabulary: int, template: bool = True
) -> Tokenizer | BytePairTokenizer:
    """The byte-level BPE of a model's folder.

    `vocabulary` is how many tokens the model knows. Without `template`,
    no special tokens are put around a text, whatever the files say.

    A folder without any tokenizer file has OpenAI's tokenizer, if that
    has as many tokens, and its `about` says so. Raises ValueError for
    files that contradict each other, for a tokenizer of another kind or
    with more tokens than the model, and FileNotFoundError as
    `gpt2_vocabulary.gpt2_tokenizer` does.
    """
    names = [name for name in FILES if (folder / name).is_file()]
    if not names:
        return openai_tokenizer(folder, vocabulary)
    if names == [RANKS]:
        return tokenizer_of_ranks(folder, vocabulary)
    entries = read_entries(folder, names)
    if not template:
        entries["post_processor"] = None
    try:
        tokenizer = byte_pair_of_entries(entries, vocabulary)
    except ValueError as error:
        raise ValueError(f"{error}; in {folder}") from error
    check_fits(folder, entries["model"]["vocab"], vocabulary)
    notes = (
        tokenizer.about,
        differing(folder, names, tokenizer, entries),
        digits_apart(folder, entries),
    )
    tokenizer.about = "; ".join(filter(None, notes))
    return tokenizer


def openai_tokenizer(folder: Path, vocabulary: int) -> BytePairTokenizer:
    """OpenAI's tokenizer, for a folder that has no file of any."""
    tokenizer = gpt2_tokenizer()
    check_as_many(folder, tokenizer, vocabulary, ", OpenAI's for GPT-2")
    tokenizer.about = (
        "the folder has no tokenizer, so the tokens are those of OpenAI's "
        "GPT-2"
    )
    return tokenizer


def tokenizer_of_ranks(folder: Path, vocabulary: int) -> BytePairTokenizer:
    """The tokenizer of a folder with `tokenizer.tiktoken` alone."""
    merges = load_ranks(folder / RANKS)
    tokenizer = BytePairTokenizer(merges, (END_OF_TEXT,))
    check_as_many(folder, tokenizer, vocabulary)
    return tokenizer


def read_entries(folder: Path, names: list[str]) -> dict:
    """The files of a folder, as one `tokenizer.json`."""
    declared = declared_in(folder)
    kind = class_of(folder, declared)
    if declared.get("split_special_tokens"):
        raise ValueError(
            f"expected no split_special_tokens in {folder / CONFIG}, where "
            "a special token in a text is that token, got true"
        )
    declared = CLASSES.get(kind, {}) | declared
    if FILE in names:
        entries = read_json(folder / FILE)
        try:
            check_is_byte_level(entries)
        except ValueError as error:
            raise ValueError(f"{error}; in {folder / FILE}") from error
        check_agrees(folder, entries, declared, kind)
        add_tokens(folder, entries, declared)
    else:
        entries = read_two_files(folder, names)
        entries |= rules_of(kind, declared)
        add_tokens(folder, entries, declared)
        entries["post_processor"] = template_of(entries, declared, kind)
    return entries


def class_of(folder: Path, declared: dict) -> str:
    """The class that AutoTokenizer takes, without its "Fast"."""
    config = read_optional(folder / "config.json")
    usual = CLASS_OF_MODEL.get(config.get("model_type"), "GPT2Tokenizer")
    names = (declared.get("tokenizer_class"), config.get("tokenizer_class"))
    name = names[0] or names[1] or usual
    kind = name.removesuffix("Fast")
    if kind not in (*CLASSES, *BACKENDS):
        raise ValueError(
            f"expected tokenizer_class in {folder} to be one of "
            f"{', '.join((*CLASSES, *BACKENDS))}, got {name}"
        )
    return kind


def rules_of(kind: str, declared: dict) -> dict:
    """How a class splits a text, where its vocabulary does not say it."""
    prefix_space = bool(declared.get("add_prefix_space"))
    if kind == "Qwen2Tokenizer":
        return {
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": by_pattern(QWEN_2, prefix_space),
        }
    return {"normalizer": None, "pre_tokenizer": byte_level(prefix_space)}


def read_two_files(folder: Path, names: list[str]) -> dict:
    """`vocab.json` and `merges.txt`, as a `tokenizer.json`."""
    if not {VOCABULARY, MERGES} <= set(names):
        raise ValueError(
            f"expected {FILE}, or {VOCABULARY} and {MERGES}, in {folder}, "
            f"got {', '.join(names)}"
        )
    vocabulary = read_json(folder / VOCABULARY)
    try:
        check_vocabulary(vocabulary)
        pairs = merge_pairs((folder / MERGES).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{error}; in {folder}") from error
    return byte_pair_entries(vocabulary, pairs, [])


def check_agrees(
    folder: Path, entries: dict, declared: dict, kind: str
) -> None:
    """Raise ValueError where the config and `tokenizer.json` disagree.

    A class of transformers other than the backends reads the vocabulary
    from the file, but how to split a text from the config. Where only
    the file cuts digits out, it is right (`digits_apart`).
    """
    stated = stated_rules(entries)
    if kind in CLASSES:
        expected = stated_rules(
            rules_of(kind, declared) | {"model": OPTIONS}
        )
        if stated["split"] == [DIGITS] and kind == "GPT2Tokenizer":
            expected["split"] = [DIGITS]
    else:
        name = "add_prefix_space"
        expected = {k: declared[k] for k in (name,) if k in declared}
        stated = {name: stated.get(name, False)}
    template = adds_tokens(entries.get("post_processor"))
    for name in ("add_bos_token", "add_eos_token"):
        if declared.get(name) and not template:
            expected, stated = {name: True}, {name: False}
    for name, value in expected.items():
        if name != "trim_offsets" and (stated.get(name) or None) != (
            value or None
        ):
            raise ValueError(
                f"expected {CONFIG} and {FILE} in {folder} to agree, got "
                f"{name} {value!r} in the one, as {kind} reads it, and "
                f"{stated.get(name)!r} in the other; with "
                '"tokenizer_class": "PreTrainedTokenizerFast" and no '
                f"{name} in the config, the file alone counts"
            )


def stated_rules(entries: dict) -> dict:
    """What a `tokenizer.json` says of how to split and to merge."""
    *before, letters = steps_of(entries["pre_tokenizer"])
    options = {name: entries["model"].get(name) for name in OPTIONS}
    rules = {"normalizer": entries.get("normalizer"), "split": before}
    return rules | letters | options


def end_ids(folder: Path, vocabulary: int) -> tuple[int, ...]:
    """The ids at which a model's text ends, as transformers finds them.

    Ids that the model does not know are left out: a configuration that
    nobody has touched names that of OpenAI's vocabulary.
    """
    for name in ("generation_config.json", "config.json"):
        ids = read_optional(folder / name).get("eos_token_id")
        if ids is not None:
            ids = ids if isinstance(ids, list) else [ids]
            return tuple(index for index in ids if index < vocabulary)
    return ()


@checked
def save_byte_pair(folder: Path, merges: Int[Array, "merge 2"]) -> None:
    """Write a tokenizer as transformers reads it, wholly or not at all.

    Ids are ranks, and the last is `<|endoftext|>`, as in GPT-2.
    """
    tokens = [*map(letters_of, merged_tokens(merges))]
    ids = {token: rank for rank, token in enumerate([*tokens, END_OF_TEXT])}
    pairs = [(tokens[a], tokens[b]) for a, b in merges.tolist()]
    end = added_token(END_OF_TEXT, len(tokens), special=True)
    declared = CLASSES["GPT2Tokenizer"] | {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
    }
    for name, entries in (
        (FILE, byte_pair_entries(ids, pairs, [end])),
        (CONFIG, declared),
    ):
        text = json.dumps(entries, indent=2, ensure_ascii=False)
        write_whole(folder / name, f"{text}\n".encode())


def differing(
    folder: Path, names: list[str], tokenizer: Tokenizer, entries: dict
) -> str:
    """Which older vocabularies stand in the folder and differ, in words."""
    if FILE not in names:
        return ""
    model = entries["model"]
    older = []
    if {VOCABULARY, MERGES} <= set(names):
        pairs = merge_pairs((folder / MERGES).read_text("utf-8"))
        own = {token["content"] for token in entries["added_tokens"]}
        tables = (read_json(folder / VOCABULARY), model["vocab"])
        first, second = (
            {k: v for k, v in table.items() if k not in own}
            for table in tables
        )
        if first != second or pairs != pairs_in(model):
            older.append(f"{VOCABULARY} and {MERGES}")
    if RANKS in names:
        ranked = rank_tokens(folder / RANKS)
        if ranked != tokenizer.tokens[: len(ranked)]:
            older.append(RANKS)
    if not older:
        return ""
    return f"{FILE} is read, from which {' and '.join(older)} differ"


def digits_apart(folder: Path, entries: dict) -> str:
    """Whether transformers splits otherwise than the file, in words.

    transformers 4 took a GPT2Tokenizer's split from the file, and 5 takes
    GPT-2's: of SmolLM2, whose merges were learned on single digits, it
    makes another tokenizer.
    """
    *before, _ = steps_of(entries["pre_tokenizer"])
    kind = class_of(folder, declared_in(folder))
    if kind != "GPT2Tokenizer" or before != [DIGITS]:
        return ""
    return f"{FILE} splits digits one by one, transformers 5 does not"


def check_fits(
    folder: Path, numbered: dict[str, int], vocabulary: int
) -> None:
    """Raise ValueError for a tokenizer with more tokens than the model."""
    token, last = max(numbered.items(), key=itemgetter(1))
    if last >= vocabulary:
        raise ValueError(
            f"expected a tokenizer of at most {vocabulary:,} tokens, the "
            f"size of the model's vocabulary, in {folder}, got the id "
            f"{last:,} for {token!r}"
        )


def check_as_many(
    folder: Path,
    tokenizer: BytePairTokenizer,
    vocabulary: int,
    whose: str = "",
) -> None:
    """Raise ValueError unless there are as many tokens as in the model."""
    if len(tokenizer.tokens) != vocabulary:
        raise ValueError(
            f"expected a tokenizer of {vocabulary:,} tokens for {folder}, "
            f"got one of {len(tokenizer.tokens):,}{whose}"
        )
