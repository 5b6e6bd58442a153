"""Attention of a real model: from a sentence to the weights of its heads.

Models are BERT, its relatives RoBERTa, DistilBERT and ALBERT, GPT-2, and
Llama with Mistral and Qwen 2; which of them a folder or a file holds, it
says itself. The forward pass is that of `numpy_ref`, which is proven equal
to that of transformers at every layer and head.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
from numpy import ndarray as Array

from numpy_ref.bert import Layer
from numpy_ref.checkpoints.bert import (
    BertCheckpoint,
    blocks_of,
    load_bert,
    run_model,
)
from numpy_ref.checkpoints.byte_pair_files import byte_pair_of
from numpy_ref.checkpoints.chat_files import chat_tokenizer_of
from numpy_ref.checkpoints.gpt2 import Gpt2Checkpoint, load_gpt2
from numpy_ref.checkpoints.llama import LlamaCheckpoint, load_llama
from numpy_ref.checkpoints.llama_config import LLAMAS
from numpy_ref.checkpoints.model_folders import ModelFolder, find_model
from numpy_ref.checkpoints.model_tokenizers import tokenizer_of
from numpy_ref.checkpoints.names import Name
from numpy_ref.checkpoints.relatives import TITLES
from numpy_ref.gpt2 import gpt2
from numpy_ref.layers import Linear
from numpy_ref.tokenizers.chat_tokenizer import ChatTokenizer
from numpy_ref.variants.grouped_queries import repeat_heads
from numpy_ref.variants.llama import llama

from .attention import Attention

# Which model_type is packaged, and how the package is called.
PACKAGED_AS = {"bert": "bert", "llama": "smollm2"}

Reader = Callable[[str, str | None, bool], Attention]


def attend(
    sentence_a: str,
    sentence_b: str | None = None,
    model_type: str | None = None,
    model_version: str | None = None,
    truncate: bool = False,
    dtype: str = "float32",
) -> Attention:
    """The attention of a model to one sentence, or to a sentence pair.

    `model_version` is a folder or a name on the hub; None is the model
    that comes as a package, a real but small BERT: all-MiniLM-L6-v2,
    which embeds sentences and is not bert-base. Its `config.json` says
    which kind of model it is; a `model_type`, such as "bert", "roberta"
    or "gpt2", must agree with it. With `truncate`, a text that is too
    long is cut off at the end.

    Raises ValueError for an empty sentence, for a list of sentences, for
    one with more tokens than the model has positions, and for a model of
    another type or one that cannot be found.
    """
    texts = [(sentence_a, sentence_b)]
    return next(
        attend_all(texts, model_type, model_version, truncate, dtype)
    )


def attend_all(
    texts: Iterable[str | tuple[str, str | None]],
    model_type: str | None = None,
    model_version: str | None = None,
    truncate: bool = False,
    dtype: str = "float32",
    watch: Callable[[tuple[Name, ...]], Iterable[Name]] = iter,
) -> Iterator[Attention]:
    """`attend` for several texts, one by one; the model is loaded once.

    The names of its tensors pass through `watch` as each is read, which
    may show them.
    """
    if isinstance(texts, str):
        raise ValueError(f"expected several texts, got one: {texts!r}")
    read = None
    for text in texts:
        pair = (text, None) if isinstance(text, str) else text
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise ValueError(
                f"expected texts or pairs of texts, got {pair!r}"
            )
        check_texts(*pair)
        read = read or reader(model_type, model_version, dtype, watch)
        yield read(*pair, truncate)


def check_texts(sentence_a: str, sentence_b: str | None) -> None:
    """Raise ValueError unless each sentence is one text with words."""
    for name, text in (("a", sentence_a), ("b", sentence_b)):
        if name == "b" and text is None:
            continue
        if not isinstance(text, str):
            raise ValueError(
                f"expected sentence_{name} to be one text, got "
                f"{type(text).__name__}; `attend_all` takes several"
            )
        if not text.strip():
            raise ValueError(
                f"expected a sentence with words, got {text!r}"
            )


def reader(
    model_type: str | None,
    model_version: str | None,
    dtype: str,
    watch: Callable[[tuple[Name, ...]], Iterable[Name]] = iter,
) -> Reader:
    """Load a model, ready to read. Raises ValueError for an unknown one."""
    folder = folder_of(model_type, model_version)
    if folder.model_type in LLAMAS:
        llama_checkpoint = load_llama(folder.path, dtype, watch)
        vocabulary = llama_checkpoint.config.vocabulary
        writer = chat_tokenizer_of(folder.path, vocabulary)
        about = "; ".join(filter(None, (folder.about, writer.about)))
        return partial(read_with_llama, llama_checkpoint, writer, about)
    if folder.model_type == "gpt2":
        checkpoint = load_gpt2(folder.path, dtype, watch)
        tokenizer = byte_pair_of(folder.path, checkpoint.config.vocabulary)
        about = "; ".join(filter(None, (folder.about, tokenizer.about)))
        return partial(read_with_gpt2, checkpoint, tokenizer, about)
    checkpoint = load_bert(folder.path, dtype, watch)
    tokenizer = tokenizer_of(folder.path, checkpoint.config.vocabulary)
    return partial(read_with_bert, checkpoint, tokenizer, folder.about)


def folder_of(
    model_type: str | None, model_version: str | None
) -> ModelFolder:
    """The folder of a model; without a version, that of a packaged one.

    Raises ValueError for a model_type that is not known, is not packaged,
    or is not the folder's.
    """
    if model_type is not None and model_type not in [*TITLES]:
        raise ValueError(
            f"expected model_type to be one of {', '.join(TITLES)}, got "
            f"{model_type!r}; for any other model, pass its weights as "
            "arrays (`from_arrays`)"
        )
    if model_version is None and model_type not in (None, *PACKAGED_AS):
        raise ValueError(
            f"expected model_version for {TITLES[model_type]}, a folder or "
            f"a name on the hub, got none: no {TITLES[model_type]} is "
            "packaged"
        )
    if model_version is None:
        model_version = PACKAGED_AS.get(model_type, "bert")
    folder = find_model(model_version)
    if model_type not in (None, folder.model_type):
        raise ValueError(
            f"expected model_type to be {folder.model_type!r}, as "
            f"{model_version} says itself, got {model_type!r}"
        )
    return folder


def read_with_bert(
    checkpoint: BertCheckpoint,
    tokenizer,
    about: str,
    sentence_a: str,
    sentence_b: str | None,
    truncate: bool,
) -> Attention:
    config = checkpoint.config
    encoded = tokenizer.encode(sentence_a, sentence_b)
    if truncate and len(encoded.ids) > config.positions:
        encoded = tokenizer.encode(sentence_a, sentence_b, config.positions)
    check_length(len(encoded.ids), config.positions)
    _, layers = run_model(
        checkpoint, encoded.ids, encoded.segments, np.ones((1, 1), bool)
    )
    outputs = tuple(
        block.attention.output for block in blocks_of(checkpoint)
    )
    special = np.isin(encoded.tokens, [*tokenizer.special_tokens])
    return attention_of(
        encoded.tokens,
        special,
        encoded.segments,
        layers,
        outputs,
        about,
        False,
    )


def read_with_gpt2(
    checkpoint: Gpt2Checkpoint,
    tokenizer,
    about: str,
    sentence_a: str,
    sentence_b: str | None,
    truncate: bool,
) -> Attention:
    if sentence_b is not None:
        raise ValueError(
            "expected one sentence for a GPT-2, which takes no pairs, "
            "got two"
        )
    config = checkpoint.config
    ids = tokenizer.encode(sentence_a)
    if truncate:
        ids = ids[: config.positions]
    check_length(len(ids), config.positions)
    _, layers, _ = gpt2(ids, checkpoint.model, config.heads, config.epsilon)
    outputs = tuple(
        block.attention_sublayer.attention.output
        for block in checkpoint.model.decoder.blocks
    )
    return of_a_writer(ids, tokenizer, layers, outputs, about)


def read_with_llama(
    checkpoint: LlamaCheckpoint,
    tokenizer: ChatTokenizer,
    about: str,
    sentence_a: str,
    sentence_b: str | None,
    truncate: bool,
) -> Attention:
    """Keys and values are repeated: as many heads as there are queries."""
    if sentence_b is not None:
        raise ValueError(
            "expected one sentence for a Llama, which takes no pairs, "
            "got two"
        )
    config = checkpoint.config
    ids = tokenizer.encode(sentence_a)
    if truncate:
        ids = ids[: config.positions]
    check_length(len(ids), config.positions)
    _, layers, _ = llama(
        *(ids, checkpoint.model, config.heads, config.key_heads),
        *(config.d_head, config.base, config.epsilon),
    )
    repeats = config.heads // config.key_heads
    repeated = [
        layer._replace(
            key=repeat_heads(layer.key, repeats),
            value=repeat_heads(layer.value, repeats),
        )
        for layer in layers
    ]
    outputs = tuple(
        with_no_bias(block.attention_sublayer.attention.output.weight)
        for block in checkpoint.model.decoder.blocks
    )
    return of_a_writer(ids, tokenizer, repeated, outputs, about)


def with_no_bias(weight: Array) -> Linear:
    """A linear layer whose bias is 0."""
    return Linear(weight, np.zeros(len(weight), weight.dtype))


def of_a_writer(
    ids: Array, tokenizer, layers: list, outputs: tuple, about: str
) -> Attention:
    """The attention of a model that writes, and sees no later token."""
    tokens = [
        tokenizer.tokens[token_id].decode(errors="backslashreplace")
        for token_id in ids.tolist()
    ]
    special = np.isin(ids, [*tokenizer.special_tokens.values()])
    segments = np.zeros(len(ids), np.int64)
    return attention_of(
        tokens, special, segments, layers, outputs, about, True
    )


def check_length(tokens: int, positions: int) -> None:
    """Raise ValueError for more tokens than the model has positions."""
    if tokens > positions:
        raise ValueError(
            f"expected at most {positions:,} tokens, as many as the model "
            f"has positions, got {tokens:,}; truncate (--truncate) cuts "
            "the text off at its end"
        )


def attention_of(
    tokens: list[str],
    special: Array,
    segments: Array,
    layers: list[Layer],
    outputs: tuple[Linear, ...],
    about: str,
    causal: bool,
) -> Attention:
    """A model's layers as one `Attention`."""
    weights, queries, keys, values = (
        np.stack([getattr(layer, name) for layer in layers])
        for name in ("weights", "query", "key", "value")
    )
    return Attention(
        tuple(tokens),
        weights,
        special,
        segments,
        causal,
        about,
        queries=queries,
        keys=keys,
        values=values,
        outputs=outputs,
    )
