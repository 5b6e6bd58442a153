"""Tokenizer files: those of a model's folder, as one `tokenizer.json`.

Today's transformers writes `tokenizer.json`; before, there was a
`vocab.txt`, and `tokenizer_config.json` said what to do with it. Either
way the entries come out in the form of a `tokenizer.json`. What the
config says of the normalization counts more than the file does, and
tokens that it adds are added, as in transformers.
"""

from collections.abc import Iterator
from pathlib import Path

from ..files import read_json
from ..tokenizers.tokenizer_json import added_token, wordpiece_entries
from ..tokenizers.wordpiece import SpecialNames, load_vocabulary

FILE, CONFIG, VOCABULARY = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)

OTHER_FILES = ("spiece.model", "sentencepiece.bpe.model", "vocab.json")

# By which key the config knows a special token.
NAME_KEYS = SpecialNames(
    unknown="unk_token",
    first="cls_token",
    end="sep_token",
    padding="pad_token",
    mask="mask_token",
)

# By which key the config knows a rule of the normalizer.
RULES = {
    "lowercase": "do_lower_case",
    "strip_accents": "strip_accents",
    "handle_chinese_chars": "tokenize_chinese_chars",
}

# Classes that take the normalizer from `tokenizer.json` alone.
WITHOUT_RULES = ("PreTrainedTokenizerFast", "TokenizersBackend")

# Classes whose `vocab.txt` is for WordPiece after BERT's words.
WORDPIECE_CLASSES = (
    *("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"),
    *("MobileBertTokenizer", "RetriBertTokenizer", "PreTrainedTokenizer"),
    "TokenizersBackend",
)

# What would change the words, with the one value that BERT's words have.
SUPPORTED = {
    "do_basic_tokenize": True,
    "never_split": None,
    "wordpieces_prefix": "##",
    "word_tokenizer_type": "basic",
    "subword_tokenizer_type": "wordpiece",
}


def read_tokenizer(folder: Path) -> tuple[dict, SpecialNames]:
    """The entries of a folder's tokenizer, and its special names.

    Raises ValueError for a folder without one, and for a field that is
    not supported, by name.
    """
    config = read_optional(folder / CONFIG)
    names = special_names(folder, config)
    if (folder / FILE).is_file():
        entries = read_json(folder / FILE)
        check_entries(folder, entries)
        take_rules(entries, config)
    elif (folder / VOCABULARY).is_file():
        check_supported(folder, config)
        vocabulary = load_vocabulary(folder / VOCABULARY)
        entries = wordpiece_entries(vocabulary, names)
        take_rules(entries, config)
    else:
        raise ValueError(
            f"expected {FILE} or {VOCABULARY} in {folder}, "
            f"got {', '.join(other_files(folder)) or 'neither'}; "
            "`AutoTokenizer.from_pretrained(…).save_pretrained(folder)` "
            f"of transformers writes {FILE}"
        )
    add_tokens(folder, entries, config)
    return entries, names


def read_optional(path: Path) -> dict:
    """A JSON object, empty where there is no file."""
    return read_json(path) if path.is_file() else {}


def special_names(folder: Path, config: dict) -> SpecialNames:
    """The names of special tokens, as the config or older files say."""
    told = config
    if "added_tokens_decoder" not in config:
        told = config | read_optional(folder / "special_tokens_map.json")
    keys = NAME_KEYS._asdict().items()
    named = {
        field: content_of(told[key]) for field, key in keys if told.get(key)
    }
    return SpecialNames(**named)


def content_of(token: str | dict) -> str:
    """The text of a token, which may be stored with its rules."""
    return token["content"] if isinstance(token, dict) else token


def check_entries(folder: Path, entries: dict) -> None:
    """Raise ValueError for a `tokenizer.json` without a model."""
    model = entries.get("model")
    if not isinstance(model, dict) or not model.get("vocab"):
        raise ValueError(
            f"expected a model with a vocab in {folder / FILE}, "
            f"got {sorted(entries)}"
        )


def take_rules(entries: dict, config: dict) -> None:
    """Let the normalizer follow what the config says of it."""
    normalizer = entries.get("normalizer") or {}
    by_file_alone = config.get("tokenizer_class") in WITHOUT_RULES
    if normalizer.get("type") == "BertNormalizer" and not by_file_alone:
        entries["normalizer"] = normalizer | {
            rule: config[key]
            for rule, key in RULES.items()
            if key in config
        }


def check_supported(folder: Path, config: dict) -> None:
    """Raise ValueError for what `vocab.txt` alone does not tell."""
    kind = config.get("tokenizer_class") or WORDPIECE_CLASSES[0]
    if kind.removesuffix("Fast") not in WORDPIECE_CLASSES:
        raise ValueError(
            f"expected tokenizer_class in {folder / CONFIG} to be one of "
            f"{', '.join(WORDPIECE_CLASSES)}, got {kind}; with {FILE} "
            "beside it, any can be read"
        )
    for field, value in SUPPORTED.items():
        if config.get(field, value) not in (value, None, []):
            raise ValueError(
                f"expected {field} in {folder / CONFIG} to be {value!r}, "
                f"got {config[field]!r}"
            )


def add_tokens(folder: Path, entries: dict, config: dict) -> None:
    """Add to the entries the tokens that stand in other files."""
    stored = entries.setdefault("added_tokens", [])
    vocabulary = vocabulary_of(entries["model"])
    check_ids(folder, stored, vocabulary)
    known = {token["content"]: token["id"] for token in stored}
    for token in tokens_beside(folder, vocabulary | known, config):
        if token["content"] not in known:
            stored.append(token)
            known[token["content"]] = token["id"]
    check_ids(folder, stored, vocabulary)


def check_ids(
    folder: Path, added: list[dict], vocabulary: dict[str, int]
) -> None:
    """Raise ValueError where an added token has another id than it must.

    It has that of the vocabulary, or else the next one: to any other,
    readers of these files differ in what they give it.
    """
    ids = {**vocabulary}
    for token in sorted(added, key=lambda token: token.get("id", -1)):
        content = token.get("content")
        expected = ids.setdefault(content, len(ids))
        if token.get("id") != expected:
            raise ValueError(
                f"expected the added token {content!r} in {folder} to have "
                f"the id {expected}, got {token.get('id')}"
            )


def tokens_beside(
    folder: Path, ids: dict[str, int], config: dict
) -> Iterator[dict]:
    """The added tokens of the config, and of older files.

    A special token that has no id gets the next one.
    """
    special = [*map(content_of, more_special(config))]
    for index, token in config.get("added_tokens_decoder", {}).items():
        ids |= {token["content"]: int(index)}
        yield added_token(**token) | {"id": int(index)}
    older = read_optional(folder / "added_tokens.json")
    for content, index in older.items():
        ids |= {content: index}
        yield added_token(content, index, special=content in special)
    for content in special:
        index = ids.setdefault(content, len(ids))
        yield added_token(content, index, special=True)


def more_special(config: dict) -> list:
    """The special tokens that a user named besides BERT's."""
    keys = ("extra_special_tokens", "additional_special_tokens")
    more = next((config[key] for key in keys if config.get(key)), [])
    return [*more.values()] if isinstance(more, dict) else more


def vocabulary_of(model: dict) -> dict[str, int]:
    """The tokens of a model and their ids, also where it has a list."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        return {**vocabulary}
    return {token: index for index, (token, _) in enumerate(vocabulary)}


def other_files(folder: Path) -> list[str]:
    """The files of tokenizers of other kinds."""
    return [name for name in OTHER_FILES if (folder / name).is_file()]
