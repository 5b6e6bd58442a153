"""`tokenizer.json` of a byte-level BPE: what it says, honoured or refused.

Such a file can say more than GPT-2 needs. What our own tokenizer can do,
it does; the rest goes through Hugging Face's `tokenizers`, and the
tokenizer's `about` says so. Nothing is ignored but the length to which
texts are cut or padded, the habit of whoever saved the file.
"""

from importlib.util import find_spec
from itertools import chain

from .bpe_tokenizer import Split
from .library_byte_pair import LibraryBytePair
from .merges_files import Pairs, merge_ids
from .pretokens import boundaries, digit_boundaries
from .renumbered import RenumberedTokenizer, absent_bytes
from .tokenizer_json import added_in, content_of

Tokenizer = RenumberedTokenizer | LibraryBytePair

# Options of a model that change its tokens, and what GPT-2 has for them.
OPTIONS = {
    "dropout": None,
    "continuing_subword_prefix": "",
    "end_of_word_suffix": "",
    "byte_fallback": False,
    "ignore_merges": False,
}
DIGITS = {"type": "Digits", "individual_digits": True}
REFUSED = ("dropout", "continuing_subword_prefix", "end_of_word_suffix")


def byte_pair_entries(
    vocabulary: dict[str, int],
    pairs: Pairs,
    added: list[dict],
) -> dict:
    """The entries of a `tokenizer.json`, as transformers has GPT-2's."""
    letters = byte_level(False)
    model = {"type": "BPE", "unk_token": None, "fuse_unk": False, **OPTIONS}
    merges = [list(pair) for pair in pairs]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": letters,
        "post_processor": letters,
        "decoder": letters,
        "model": {**model, "vocab": vocabulary, "merges": merges},
    }


def byte_level(prefix_space: bool) -> dict:
    """GPT-2's way to split a text and to spell its bytes as letters."""
    return {
        "type": "ByteLevel",
        "add_prefix_space": prefix_space,
        "trim_offsets": True,
        "use_regex": True,
    }


def digits_alone(prefix_space: bool = False) -> dict:
    """As GPT-2 splits a text, each digit cut out before."""
    return {
        "type": "Sequence",
        "pretokenizers": [DIGITS, byte_level(prefix_space)],
    }


def by_pattern(pattern: str, prefix_space: bool = False) -> dict:
    """Another pattern than GPT-2's, and its way to spell bytes."""
    split = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    letters = byte_level(prefix_space) | {"use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split, letters]}


def split_pattern(numbers: str) -> str:
    """The pattern of OpenAI's cl100k and its like, but for the numbers.

    Contractions in any case; letters after any one sign; line breaks
    with the signs or the white space before them.
    """
    return "|".join(
        (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
            r"[^\r\n\p{L}\p{N}]?\p{L}+",
            numbers,
            r" ?[^\s\p{L}\p{N}]+[\r\n]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        )
    )


LLAMA_3 = split_pattern(r"\p{N}{1,3}")
QWEN_2 = split_pattern(r"\p{N}")


def template_of(entries: dict, declared: dict, kind: str) -> dict | None:
    """What the class puts around a text, as a post-processor."""
    ids = {t["content"]: t["id"] for t in entries["added_tokens"]}

    def token(name: str) -> list:
        content = content_of(declared[name])
        return [content, ids[content]]

    if kind == "RobertaTokenizer":
        return {
            "type": "RobertaProcessing",
            "sep": token("sep_token"),
            "cls": token("cls_token"),
            "trim_offsets": True,
            "add_prefix_space": bool(declared.get("add_prefix_space")),
        }
    ends = [
        token(f"{end}_token") if declared.get(f"add_{end}_token") else None
        for end in ("bos", "eos")
    ]
    if not any(ends):
        return None
    text = {"Sequence": {"id": "A", "type_id": 0}}
    first, last = (
        [{"SpecialToken": {"id": end[0], "type_id": 0}}] if end else []
        for end in ends
    )
    return {
        "type": "TemplateProcessing",
        "single": [*first, text, *last],
        "pair": [*first, text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            name: {"id": name, "ids": [index], "tokens": [name]}
            for name, index in filter(None, ends)
        },
    }


def byte_pair_of_entries(entries: dict, size: int) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`: our own where it can be.

    Raises ValueError for one that is no byte-level BPE, that merges at
    random (dropout), or that wants the package `tokenizers` where it is
    not installed.
    """
    check_is_byte_level(entries)
    model, added = entries["model"], added_in(entries)
    reasons = beyond_ours(entries)
    try:
        merges = merge_ids(pairs_in(model))
    except ValueError as error:
        reasons.append(f"its merges ({error})")
    if not reasons:
        split = split_of(entries["pre_tokenizer"])
        return RenumberedTokenizer(
            merges, model["vocab"], added, size, split
        )
    check_library(reasons)
    tokenizer = LibraryBytePair(entries, added, size)
    tokenizer.about = (
        f"tokenizer run by Hugging Face's tokenizers: {', '.join(reasons)}"
    )
    return tokenizer


def beyond_ours(entries: dict) -> list[str]:
    """What our own tokenizer cannot honour, in words."""
    model, splitting = entries["model"], entries["pre_tokenizer"]
    added, unknown = entries["added_tokens"], model.get("unk_token")
    absent = len(absent_bytes(model["vocab"])) if unknown else 0
    signs = {
        "a normalizer": entries.get("normalizer"),
        "add_prefix_space": any(
            step.get("add_prefix_space") for step in steps_of(splitting)
        ),
        "another pattern than GPT-2's": split_of(splitting) is None,
        "a template": adds_tokens(entries.get("post_processor")),
        "ignore_merges": model.get("ignore_merges"),
        "byte_fallback": model.get("byte_fallback"),
        "single_word": any(token.get("single_word") for token in added),
        "white space at the edge of an added token": any(
            token["content"] != token["content"].strip() for token in added
        ),
        f"{absent} bytes that become {unknown}": absent,
    }
    return [reason for reason, holds in signs.items() if holds]


def steps_of(splitting: dict) -> list[dict]:
    """The steps of a pre-tokenizer, which may be only one."""
    return splitting.get("pretokenizers", [splitting])


def split_of(splitting: dict) -> Split | None:
    """Our own way to split a text so, where there is one."""
    *before, last = steps_of(splitting)
    if last.get("type") != "ByteLevel" or not last.get("use_regex", True):
        return None
    if not before:
        return boundaries
    return digit_boundaries if before == [DIGITS] else None


def adds_tokens(template: dict | None) -> bool:
    """Whether a post-processor puts special tokens around a text."""
    if template is None or template["type"] == "ByteLevel":
        return False
    if template["type"] == "Sequence":
        return any(map(adds_tokens, template["processors"]))
    if template["type"] == "TemplateProcessing":
        return any("SpecialToken" in piece for piece in template["single"])
    return True


def pairs_in(model: dict) -> list[tuple]:
    """The merges, in the older form ("l o") or the newer (["l", "o"])."""
    return [
        tuple(merge.split(" ") if isinstance(merge, str) else merge)
        for merge in model["merges"]
    ]


def check_is_byte_level(entries: dict) -> None:
    """Raise ValueError unless it is a byte-level BPE that is certain."""
    model = entries.get("model")
    kind = model.get("type", "BPE") if isinstance(model, dict) else None
    if kind != "BPE":
        raise ValueError(f"expected the model of a BPE, got {kind}")
    check_lists(entries, model)
    splitting = entries.get("pre_tokenizer") or {}
    last = steps_of(splitting)[-1]
    if last.get("type") != "ByteLevel":
        raise ValueError(
            "expected a pre-tokenizer that ends in ByteLevel, "
            f"got {last.get('type')}"
        )
    for option in REFUSED:
        if model.get(option):
            raise ValueError(
                f"expected a BPE without {option}, got {model[option]!r}"
            )


def check_lists(entries: dict, model: dict) -> None:
    """Raise ValueError unless vocabulary and merges are what they seem.

    Merges are pairs afterwards, and the list of added tokens is there.
    """
    entries.setdefault("added_tokens", [])
    vocabulary, merges = model.get("vocab"), model.get("merges")
    check_vocabulary(vocabulary)
    if not isinstance(merges, list):
        raise ValueError(
            f"expected a list of merges, got {type(merges).__name__}"
        )
    model["merges"] = pairs = pairs_in(model)
    sizes = {*map(len, pairs)}
    kinds = {*map(type, chain.from_iterable(pairs))}
    if sizes - {2} or kinds - {str} or "" in chain.from_iterable(pairs):
        raise ValueError(
            f"expected each merge to be two tokens, got {first_odd(pairs)}"
        )


def first_odd(pairs: list[tuple]) -> str:
    """The first pair that is none, with its place, in words."""
    for index, pair in enumerate(pairs):
        sizes = [isinstance(part, str) and len(part) > 0 for part in pair]
        if sizes != [True, True]:
            return f"{pair} in merge {index}"
    return ""


def check_vocabulary(vocabulary) -> None:
    """Raise ValueError unless it is tokens with an id for each."""
    if not isinstance(vocabulary, dict):
        raise ValueError(
            "expected a vocabulary of tokens and ids, "
            f"got {type(vocabulary).__name__}"
        )
    for token, index in vocabulary.items():
        if type(index) is not int or index < 0:
            raise ValueError(
                f"expected an id of at least 0 for {token!r}, got {index!r}"
            )


def check_library(reasons: list[str]) -> None:
    """Raise ValueError where the package `tokenizers` is not installed."""
    if find_spec("tokenizers") is None:
        raise ValueError(
            "expected the package tokenizers, which alone can honour "
            f"{', '.join(reasons)}, got none; "
            "pip install 'attention-twice[bert]' brings it"
        )
