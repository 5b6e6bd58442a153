"""Special and added tokens of a byte-level BPE, as its files name them.

A vocabulary alone does not say which of its tokens are signs, and which
of them stand around every text: the config and older files beside it do.
"""

from collections.abc import Iterator
from pathlib import Path

from ..tokenizers.tokenizer_json import added_token
from .tokenizer_files import (
    check_ids,
    content_of,
    more_special,
    read_optional,
)

ADDED = "added_tokens.json"


def add_tokens(folder: Path, entries: dict, declared: dict) -> None:
    """Add the tokens that the files beside the vocabulary name.

    One that has no id gets the next, as in transformers. Raises
    ValueError where two files disagree about a token.
    """
    stored = entries["added_tokens"]
    known = {token["content"]: token for token in stored}
    ids = {**entries["model"]["vocab"]}
    ids |= {token["content"]: token["id"] for token in stored}
    for token in tokens_beside(folder, declared):
        content = token["content"]
        index = ids.setdefault(content, len(ids))
        token = token | {"id": token.get("id", index)}
        same = known.setdefault(content, token)
        if same is token:
            stored.append(token)
            ids[content] = token["id"]
        elif "id" in token and same["id"] != token["id"]:
            raise ValueError(
                f"expected one id for the added token {content!r} in "
                f"{folder}, got {same['id']} and {token['id']}"
            )
    stored.sort(key=lambda token: token["id"])
    check_ids(folder, stored, entries["model"]["vocab"])


def tokens_beside(folder: Path, declared: dict) -> Iterator[dict]:
    """Added tokens of the config and older files, some without an id."""
    named = [
        token
        for key, token in declared.items()
        if key.endswith("_token") and isinstance(token, str | dict)
    ]
    named += more_special(declared)
    special = {content_of(token) for token in named}
    for index, token in declared.get("added_tokens_decoder", {}).items():
        yield added_token(**token) | {"id": int(index)}
    for content, index in read_optional(folder / ADDED).items():
        yield added_token(content, index, special=content in special)
    for token in named:
        rules = token if isinstance(token, dict) else {"content": token}
        rules = {k: v for k, v in rules.items() if k != "__type"}
        entry = added_token(**rules | {"special": True})
        yield {name: entry[name] for name in entry if name != "id"}


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
