"""`tokenizer.json`: a tokenizer as Hugging Face's `tokenizers` stores it.

The file says each step: normalizer, pre-tokenizer, model, added tokens,
and the template into which a text or a pair is set. `wordpiece_of` makes
our own WordPiece of it; `not_wordpiece` names what that would not honour.

How long a text may be, and to which length it is padded, stand there too
and are left aside: they are the habit of whoever saved the file.
"""

from collections.abc import Iterator

from .added_tokens import AddedToken
from .bert_words import Normalization
from .wordpiece import (
    BERT_NAMES,
    LONGEST_WORD,
    SpecialNames,
    WordPieceTokenizer,
)

PREFIX = "##"

# The rules of a normalizer, and the values that we honour.
RULES = {
    "clean_text": (True,),
    "handle_chinese_chars": (True, False),
    "strip_accents": (True, False, None),
    "lowercase": (True, False),
}

# Rules about the text around an added token.
SURROUNDINGS = ("single_word", "lstrip", "rstrip")


def wordpiece_of(
    entries: dict, names: SpecialNames = BERT_NAMES
) -> WordPieceTokenizer:
    """Our WordPiece tokenizer of the entries of a `tokenizer.json`.

    `names` has those of the special tokens that the file does not name.
    Raises ValueError for entries that it would not honour.
    """
    reasons = list(not_wordpiece(entries))
    if reasons:
        raise ValueError(
            f"expected a tokenizer.json of BERT's WordPiece, got "
            f"{'; '.join(reasons)}"
        )
    model, normalizer = entries["model"], entries["normalizer"]
    first, end = template_names(entries["post_processor"])
    return WordPieceTokenizer(
        model["vocab"],
        Normalization(
            lowercase=normalizer["lowercase"],
            strip_accents=normalizer["strip_accents"],
            split_chinese=normalizer["handle_chinese_chars"],
        ),
        names._replace(unknown=model["unk_token"], first=first, end=end),
        added_in(entries),
        model.get("max_input_chars_per_word", LONGEST_WORD),
    )


def added_in(entries: dict) -> list[AddedToken]:
    """The added tokens of a `tokenizer.json`."""
    return [
        AddedToken(
            token["content"],
            token["id"],
            token.get("normalized", not token.get("special")),
            token.get("special", False),
            token.get("lstrip", False),
            token.get("rstrip", False),
        )
        for token in entries["added_tokens"]
    ]


def not_wordpiece(entries: dict) -> Iterator[str]:
    """What our WordPiece would not honour of a `tokenizer.json`."""
    model = entries.get("model") or {}
    prefix = model.get("continuing_subword_prefix")
    # The oldest files name no type.
    kind = model.get("type", "WordPiece" if prefix else None)
    if kind != "WordPiece":
        yield f"model {kind}"
    elif prefix != PREFIX:
        yield f"pieces that continue a word with {prefix!r}"
    normalizer = entries.get("normalizer") or {}
    if normalizer.get("type") != "BertNormalizer":
        yield f"normalizer {normalizer.get('type')}"
    else:
        yield from other_rules(normalizer)
    pre_tokenizer = entries.get("pre_tokenizer") or {}
    if pre_tokenizer.get("type") != "BertPreTokenizer":
        yield f"pre_tokenizer {pre_tokenizer.get('type')}"
    processor = entries.get("post_processor") or {}
    if template_names(processor) is None:
        yield f"post_processor {processor.get('type')} of another form"
    for token in entries.get("added_tokens", ()):
        yield from other_surroundings(token)


def other_rules(normalizer: dict) -> Iterator[str]:
    """Where a normalizer's rules are other than those of BERT's words."""
    for rule, values in RULES.items():
        if normalizer.get(rule, "nothing") not in values:
            yield f"{rule} {normalizer.get(rule)}"


def other_surroundings(token: dict) -> Iterator[str]:
    """What an added token wants of the text around it."""
    for rule in SURROUNDINGS:
        if token.get(rule):
            yield f"{rule} of {token['content']!r}"


def template_names(processor: dict) -> tuple[str, str] | None:
    """The first token and the end, where the template is BERT's."""
    if processor.get("type") == "BertProcessing":
        return processor["cls"][0], processor["sep"][0]
    if processor.get("type") != "TemplateProcessing":
        return None
    pair = [*map(piece_of_template, processor["pair"])]
    if len(pair) != 5:
        return None
    first, end = pair[0][1], pair[-1][1]
    expected = [
        ("SpecialToken", first, 0),
        ("Sequence", "A", 0),
        ("SpecialToken", end, 0),
        ("Sequence", "B", 1),
        ("SpecialToken", end, 1),
    ]
    single = [*map(piece_of_template, processor["single"])]
    as_expected = pair == expected and single == expected[:3]
    return (first, end) if as_expected else None


def piece_of_template(piece: dict) -> tuple[str, str, int]:
    """A text's place or a token in a template, and its segment.

    >>> piece_of_template({"Sequence": {"id": "A", "type_id": 0}})
    ('Sequence', 'A', 0)
    """
    ((kind, entry),) = piece.items()
    return kind, entry["id"], entry["type_id"]


def wordpiece_entries(
    vocabulary: dict[str, int], names: SpecialNames
) -> dict:
    """The entries of a `tokenizer.json`: BERT's, with a vocabulary."""
    first, end = names.first, names.end
    single = [of_template(first, 0), of_template("A", 0)]
    single += [of_template(end, 0)]
    return {
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, of_template("B", 1), of_template(end, 1)],
            "special_tokens": {
                name: {
                    "id": name,
                    "ids": [vocabulary.get(name, 0)],
                    "tokens": [name],
                }
                for name in (first, end)
            },
        },
        "model": {
            "type": "WordPiece",
            "unk_token": names.unknown,
            "continuing_subword_prefix": PREFIX,
            "max_input_chars_per_word": LONGEST_WORD,
            "vocab": vocabulary,
        },
    }


def of_template(name: str, segment: int) -> dict:
    """A piece of a template: the place of text A or B, or a token."""
    kind = "Sequence" if name in ("A", "B") else "SpecialToken"
    return {kind: {"id": name, "type_id": segment}}


def added_token(content: str, index: int = -1, **rules: bool) -> dict:
    """An added token as it is stored, its usual rules filled in.

    A special token is looked for in the text as it was typed.
    """
    special = rules.get("special", False)
    usual = dict.fromkeys(SURROUNDINGS, False)
    usual |= {"normalized": not special, "special": special}
    return {"id": index, "content": content, **usual, **rules}


def content_of(token: str | dict) -> str:
    """The text of a token, which may be stored with its rules."""
    return token["content"] if isinstance(token, dict) else token
