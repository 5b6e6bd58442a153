"""Tokenizer files: those of a model's folder, as one `tokenizer.json`.

Today's transformers writes `tokenizer.json`; before, there was a
`vocab.txt`, and `tokenizer_config.json` said what to do with it. Either
way the entries come out in the form of a `tokenizer.json`. What the
config says of the normalization counts more than the file does, and
tokens that it adds are added, as in transformers.
"""

from pathlib import Path

from ..files import read_json
from ..tokenizers.tokenizer_json import content_of, wordpiece_entries
from ..tokenizers.wordpiece import SpecialNames, load_vocabulary
from .tokens_beside import add_tokens, read_optional

FILE, VOCABULARY = "tokenizer.json", "vocab.txt"
CONFIG, SPECIALS = "tokenizer_config.json", "special_tokens_map.json"

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
    declared = declared_in(folder)
    names = special_names(declared)
    if (folder / FILE).is_file():
        entries = read_json(folder / FILE)
        check_entries(folder, entries)
        if declared.get("tokenizer_class") not in WITHOUT_RULES:
            take_rules(entries, declared)
    elif (folder / VOCABULARY).is_file():
        check_supported(folder, declared)
        vocabulary = load_vocabulary(folder / VOCABULARY)
        entries = wordpiece_entries(vocabulary, names)
        take_rules(entries, declared)
        keys = zip(NAME_KEYS, names, strict=True)
        usual = {key: name for key, name in keys if name in vocabulary}
        declared = usual | declared
    else:
        raise ValueError(
            f"expected {FILE} or {VOCABULARY} in {folder}, "
            f"got {', '.join(other_files(folder)) or 'neither'}; "
            "`AutoTokenizer.from_pretrained(…).save_pretrained(folder)` "
            f"of transformers writes {FILE}"
        )
    add_tokens(folder, entries, declared)
    return entries, names


def declared_in(folder: Path) -> dict:
    """The config of a tokenizer, and what an older file adds to it."""
    config = read_optional(folder / CONFIG)
    if "added_tokens_decoder" in config:
        return config
    return config | read_optional(folder / SPECIALS)


def special_names(declared: dict) -> SpecialNames:
    """The names of BERT's special tokens, where they are declared."""
    keys = NAME_KEYS._asdict().items()
    return SpecialNames(
        **{
            field: content_of(declared[key])
            for field, key in keys
            if declared.get(key)
        }
    )


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
    if normalizer.get("type") == "BertNormalizer":
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


def other_files(folder: Path) -> list[str]:
    """The files of tokenizers of other kinds."""
    return [name for name in OTHER_FILES if (folder / name).is_file()]
