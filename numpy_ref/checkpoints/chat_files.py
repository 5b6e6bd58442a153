"""Chat files: the tokenizer of a model that writes, and its template."""

from pathlib import Path

from ..tokenizers.chat_tokenizer import ChatTokenizer
from ..tokenizers.gguf_vocabulary import gguf_tokenizer
from ..tokenizers.tokenizer_json import content_of
from .byte_pair_files import CLASSES, byte_pair_of, class_of, end_ids
from .gguf_files import open_gguf
from .tokenizer_files import CONFIG, declared_in

TEMPLATE = "chat_template.jinja"
NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


def chat_tokenizer_of(path: Path, vocabulary: int) -> ChatTokenizer:
    """The tokenizer of a folder or a GGUF, and its chat template if any.

    `vocabulary` is how many tokens the model knows. Raises ValueError as
    `byte_pair_of` and `gguf_tokenizer` do, and for a template that is
    none.
    """
    if path.is_file():
        return gguf_tokenizer(open_gguf(path).metadata)
    return in_folder(path, vocabulary)


def in_folder(folder: Path, vocabulary: int) -> ChatTokenizer:
    """The tokenizer that the files of a folder say."""
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
