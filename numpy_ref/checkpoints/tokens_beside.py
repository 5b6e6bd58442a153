"""Added tokens of a folder: those that stand beside the vocabulary.

A vocabulary alone does not say which of its tokens are signs, nor what
was added to it later: `tokenizer_config.json` and older files do.
"""

from collections.abc import Iterator
from pathlib import Path

from ..files import read_json
from ..tokenizers.tokenizer_json import added_token, content_of

ADDED = "added_tokens.json"


def add_tokens(folder: Path, entries: dict, declared: dict) -> None:
    """Add the tokens that the files beside the vocabulary name.

    One that has no id gets the next, as in transformers. Raises
    ValueError where two files disagree about a token.
    """
    stored = entries.setdefault("added_tokens", [])
    vocabulary = vocabulary_of(entries["model"])
    check_ids(folder, stored, vocabulary)
    known = {token["content"]: token for token in stored}
    ids = vocabulary | {token["content"]: token["id"] for token in stored}
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
    check_ids(folder, stored, vocabulary)


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


def more_special(config: dict) -> list:
    """The special tokens that have no key of their own in a config."""
    keys = ("extra_special_tokens", "additional_special_tokens")
    more = next((config[key] for key in keys if config.get(key)), [])
    return [*more.values()] if isinstance(more, dict) else more


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


def vocabulary_of(model: dict) -> dict[str, int]:
    """The tokens of a model and their ids, also where it has a list."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        return {**vocabulary}
    return {token: index for index, (token, _) in enumerate(vocabulary)}


def read_optional(path: Path) -> dict:
    """A JSON object, empty where there is no file."""
    return read_json(path) if path.is_file() else {}
