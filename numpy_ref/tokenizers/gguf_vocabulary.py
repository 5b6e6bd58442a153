"""Vocabulary of a GGUF: its metadata, as a `tokenizer.json`.

The metadata have the tokens, their types and the merges. How a text is
split they tell by a name alone, that of llama.cpp, and what belongs to
the name stands here. transformers (5.23) does not know "smollm" and takes
GPT-2's split for it, which parts the white space before a number; but
SmolLM2 learned its merges on single digits, and no token of it has two.
"""

from typing import Any

from .byte_pair_json import (
    LLAMA_3,
    QWEN_2,
    by_pattern,
    byte_level,
    byte_pair_entries,
    byte_pair_of_entries,
    digits_alone,
    template_of,
)
from .chat_tokenizer import ChatTokenizer
from .tokenizer_json import added_token

Metadata = dict[str, Any]

MODEL, PRE = "tokenizer.ggml.model", "tokenizer.ggml.pre"
TOKENS = "tokenizer.ggml.tokens"

CONTROL, USER_DEFINED = 3, 4  # types of tokens: added ones

# What each pre-tokenizer's name stands for, in a `tokenizer.json`.
PRE_TOKENIZERS = {
    "gpt-2": {"pre_tokenizer": byte_level(False)},
    "smollm": {"pre_tokenizer": digits_alone()},
    "llama-bpe": {"pre_tokenizer": by_pattern(LLAMA_3)},
    "qwen2": {
        "pre_tokenizer": by_pattern(QWEN_2),
        "normalizer": {"type": "NFC"},
    },
}
WHOLE_TOKENS = ("llama-bpe",)  # `ignore_merges`

# By which key the metadata know a special token, and transformers.
SPECIAL = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
}
ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")


def gguf_tokenizer(metadata: Metadata) -> ChatTokenizer:
    """The tokenizer of a GGUF, and its chat template where it has one.

    Raises ValueError for another kind than byte-level BPE, for a
    pre-tokenizer that is not known, by name, for metadata that are not
    whole, and as `byte_pair_of_entries` and `ChatTemplate` do.
    """
    entries = gguf_entries(metadata)
    size = len(entries["model"]["vocab"])
    return ChatTokenizer(
        byte_pair_of_entries(entries, size),
        end_ids(metadata, size),
        metadata.get("tokenizer.chat_template"),
        special_names(metadata, size),
    )


def gguf_entries(metadata: Metadata) -> dict:
    """The metadata of a GGUF, as the entries of a `tokenizer.json`."""
    check_kind(metadata)
    tokens = listed(metadata, "tokens")
    vocabulary = {token: index for index, token in enumerate(tokens)}
    check_all_different(tokens, vocabulary)
    named = special_names(metadata, len(tokens))
    added = added_in(metadata, {*named.values()})
    entries = byte_pair_entries(vocabulary, [], added)
    entries["model"]["merges"] = listed(metadata, "merges")
    name = metadata[PRE]
    entries |= PRE_TOKENIZERS[name]
    entries["model"]["ignore_merges"] = name in WHOLE_TOKENS
    declared = named | added_ends(metadata, named)
    entries["post_processor"] = template_of(entries, declared, "")
    return entries


def added_ends(
    metadata: Metadata, named: dict[str, str]
) -> dict[str, bool]:
    """Which special tokens stand around a text, as transformers says it.

    Raises ValueError for one that has no id.
    """
    ends = {}
    for end in ("bos", "eos"):
        key = f"tokenizer.ggml.add_{end}_token"
        ends[f"add_{end}_token"] = bool(metadata.get(key))
        if metadata.get(key) and f"{end}_token" not in named:
            raise ValueError(
                f"expected tokenizer.ggml.{end}_token_id beside {key}, "
                "got none"
            )
    return ends


def check_kind(metadata: Metadata) -> None:
    """Raise ValueError unless it is a byte-level BPE that is known."""
    kind, name = metadata.get(MODEL), metadata.get(PRE)
    if kind != "gpt2":
        raise ValueError(
            f"expected a GGUF with a byte-level BPE ({MODEL} 'gpt2'), got "
            f"{kind!r}; a folder of the model with tokenizer.json may do"
        )
    if name not in PRE_TOKENIZERS:
        raise ValueError(
            f"expected the pre-tokenizer ({PRE}) to be one of "
            f"{', '.join(PRE_TOKENIZERS)}, got {name!r}"
        )
    if metadata.get("tokenizer.ggml.add_space_prefix"):
        raise ValueError(
            "expected tokenizer.ggml.add_space_prefix to be false for a "
            "byte-level BPE, got true"
        )


def check_all_different(
    tokens: list[str], vocabulary: dict[str, int]
) -> None:
    """Raise ValueError for a token that comes twice."""
    for index, token in enumerate(tokens):
        if vocabulary[token] != index:
            raise ValueError(
                "expected tokenizer.ggml.tokens to be different tokens, "
                f"got {token!r} as {index} and {vocabulary[token]}"
            )


def added_in(metadata: Metadata, named: set[str]) -> list[dict]:
    """The added tokens: special ones, and others that stay whole.

    A special token is a control token, or one that is `named`.
    """
    tokens = listed(metadata, "tokens")
    kinds = [*map(int, listed(metadata, "token_type"))]
    if len(kinds) != len(tokens):
        raise ValueError(
            "expected a tokenizer.ggml.token_type for each of "
            f"{len(tokens):,} tokens, got {len(kinds):,}"
        )
    special = [
        kind == CONTROL or token in named
        for token, kind in zip(tokens, kinds, strict=True)
    ]
    return [
        added_token(tokens[index], index, special=special[index])
        for index, kind in enumerate(kinds)
        if special[index] or kind == USER_DEFINED
    ]


def special_names(metadata: Metadata, size: int) -> dict[str, str]:
    """The special tokens that have a name, as transformers calls them."""
    ids = {name: id_of(metadata, k, size) for name, k in SPECIAL.items()}
    tokens = metadata[TOKENS]
    return {
        name: tokens[index]
        for name, index in ids.items()
        if index is not None
    }


def end_ids(metadata: Metadata, size: int) -> tuple[int, ...]:
    """The ids at which a model's text ends."""
    ids = (id_of(metadata, key, size) for key in ENDS)
    return tuple(dict.fromkeys(i for i in ids if i is not None))


def id_of(metadata: Metadata, key: str, size: int) -> int | None:
    """The id of a named token. Raises ValueError for one out of range."""
    index = metadata.get(f"tokenizer.ggml.{key}")
    if index is not None and not 0 <= index < size:
        raise ValueError(
            f"expected tokenizer.ggml.{key} to be from 0 to {size - 1}, "
            f"got {index}"
        )
    return None if index is None else int(index)


def listed(metadata: Metadata, key: str) -> list:
    """A list of the metadata. Raises ValueError where it is missing."""
    name = f"tokenizer.ggml.{key}"
    if name not in metadata:
        raise ValueError(f"expected a GGUF with {name}, got none")
    return [*metadata[name]]
