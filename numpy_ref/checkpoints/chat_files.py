"""Chat files: the tokenizer of a model's folder, and its chat template."""

from pathlib import Path

from ..tokenizers.chat_tokenizer import ChatTokenizer
from ..tokenizers.tokenizer_json import content_of
from .byte_pair_files import CLASSES, byte_pair_of, class_of, end_ids
from .tokenizer_files import CONFIG, declared_in

TEMPLATE = "chat_template.jinja"
NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


def chat_tokenizer_of(folder: Path, vocabulary: int) -> ChatTokenizer:
    """The tokenizer of a folder, with its chat template if it has one.

    `vocabulary` is how many tokens the model knows. Raises ValueError as
    `byte_pair_of` does, and for a template that is none.
    """
    declared = declared_in(folder)
    tokenizer = byte_pair_of(folder, vocabulary)
    declared = CLASSES.get(class_of(folder, declared), {}) | declared
    names = {
        name: content_of(declared[name])
        for name in NAMES
        if declared.get(name)
    }
    return ChatTokenizer(
        tokenizer,
        end_ids(folder, vocabulary),
        template_in(folder, declared),
        names,
    )


def template_in(folder: Path, declared: dict) -> str | None:
    """The chat template: a file of its own, or in the config.

    Raises ValueError where the config has several and none is the
    default, or one that is no text.
    """
    if (folder / TEMPLATE).is_file():
        return (folder / TEMPLATE).read_text("utf-8")
    template = declared.get("chat_template")
    if isinstance(template, list):
        named = {
            each.get("name"): each.get("template") for each in template
        }
        if "default" not in named:
            raise ValueError(
                f"expected a chat template named default in "
                f"{folder / CONFIG}, got {', '.join(map(str, named))}"
            )
        template = named["default"]
    if not isinstance(template, str | None):
        raise ValueError(
            f"expected the chat_template in {folder / CONFIG} to be a "
            f"text, got {type(template).__name__}"
        )
    return template
