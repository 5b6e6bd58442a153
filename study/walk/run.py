"""Running the walk: PyTorch runs, NumPy replays, each step is compared.

PyTorch goes from the text to the output on its own. NumPy then repeats
each call on the inputs that PyTorch's call got (`replaying.compare`), so
that a difference belongs to that one step, and is held to its bound.
"""

from dataclasses import dataclass

import numpy as np
import torch

from numpy_ref import example
from numpy_ref.checked import check_at_least
from parity_tests.twins.comparing import Comparison, Tally
from parity_tests.twins.recording import record
from parity_tests.twins.replaying import compare
from torch_impl.embeddings import InputEmbedding
from torch_impl.masks import causal_mask
from torch_impl.multi_head import MultiHeadAttention
from torch_impl.self_attention import CausalAttention
from torch_impl.windows import window_starts, windows

from .settings import (
    CONTEXT_LENGTH,
    Settings,
    check_settings,
    chosen,
    most_windows,
)
from .source import code_of
from .stops import EXAMPLE_BY_HAND, IDS_TO_ATTENTION, MERGING, Stop
from .tokenizing import TOKENIZERS, distinct, merge_lines


@dataclass(frozen=True)
class Shown:
    """A stop, what was compared there, and both sides' code for it."""

    stop: Stop
    comparison: Comparison
    where: str
    numpy_lines: list[str]
    torch_lines: list[str]


@dataclass(frozen=True)
class Walk:
    """Every comparison made on the way, and the ones to show.

    `merging` is one word, merge by merge, where the tokenizer merges;
    `segments` and `guesses` are a BERT's.
    """

    about: str
    counts: dict[str, int]
    shown: list[Shown]
    comparisons: list[Comparison]
    tally: Tally
    tokens: list[str]
    ids: list[int]
    merging: list[str]
    segments: tuple[int, ...] | list[int] = ()
    guesses: tuple[str, ...] | list[str] = ()


def walk_text(text: str, training_text: str, settings: Settings) -> Walk:
    """From `text` to the output of one attention layer, compared.

    A tokenizer that has to be trained is trained on `training_text`, which
    may be the text itself; the weights are random, from `settings.seed`,
    and are not trained. Raises ValueError for a text that is too short,
    and for settings outside of the limits.
    """
    check_settings(settings)
    tokenized = TOKENIZERS[settings.tokenizer](text, training_text)
    check_tokens(text, len(tokenized.ids))
    ids = torch.from_numpy(tokenized.ids)
    context_length = chosen(
        settings.context_length, min(CONTEXT_LENGTH, len(ids) - 1)
    )
    stride = chosen(settings.stride, context_length)
    counts: dict[str, int] = {
        "characters": len(text),
        "tokens": len(ids),
        "distinct_tokens": distinct(tokenized.ids),
        "vocabulary": tokenized.vocabulary,
        "unknown_tokens": tokenized.unknown,
    }

    def run():
        tokenized.steps()
        starts = window_starts(len(ids), context_length, stride)
        most = most_windows(context_length, settings)
        inputs, _ = windows(ids, starts[:most], context_length)
        embed, attend = layers(
            tokenized.vocabulary, context_length, settings
        )
        attend(
            embed(inputs),
            causal_mask(context_length, context_length),
            settings.heads,
        )
        return {"windows": len(starts), "windows_walked": len(inputs)}

    with torch.no_grad():
        window_counts, calls = record(run)
    counts |= window_counts
    merging = merge_lines(calls, tokenized.token_text)
    stops = tokenized.stops if merging or tokenized.stops != MERGING else ()
    return walked(
        about_text(counts, tokenized.about),
        counts,
        (*stops, *IDS_TO_ATTENTION),
        calls,
        tokens=tokenized.tokens,
        ids=tokenized.ids.tolist(),
        merging=merging,
    )


def walk_example() -> Walk:
    """The four tokens of `numpy_ref.example`, which a pencil can check."""
    module = CausalAttention(2, 2).double()
    matrices = (example.QUERY, example.KEY, example.VALUE)
    layers = (module.query, module.key, module.value)
    for layer, matrix in zip(layers, matrices, strict=True):
        layer.weight.data = torch.from_numpy(matrix.T.copy())
        layer.bias.data.zero_()
    x = torch.from_numpy(example.X)
    dropout_mask = torch.ones(4, 4, dtype=torch.bool)
    with torch.no_grad():
        _, calls = record(module, x, dropout_mask, 0.0)
    about = "four tokens with two features each, worked by hand"
    return walked(about, {}, EXAMPLE_BY_HAND, calls)


def layers(vocabulary: int, context_length: int, settings: Settings):
    """An embedding and an attention layer with random weights."""
    torch.manual_seed(settings.seed)
    modules = (
        InputEmbedding(vocabulary, context_length, settings.d_model),
        MultiHeadAttention(settings.d_model),
    )
    return [module.to(getattr(torch, settings.dtype)) for module in modules]


def check_tokens(text: str, count: int) -> None:
    """Raise ValueError for a text without words or with one token."""
    if not text.strip() or not count:
        raise ValueError(f"expected a text with words, got {text!r}")
    check_at_least("the number of tokens", count, 2)


def check_length(tokens: int, positions: int) -> None:
    """Raise ValueError for a text that is too long for a model."""
    if tokens > positions:
        raise ValueError(
            f"expected a text of at most {positions} tokens, the "
            f"number of the model's positions, got {tokens}"
        )


def about_text(counts: dict[str, int], tokenizer: str) -> str:
    """The counts, in a sentence."""
    about = (
        f"{counts['characters']:,} characters; {tokenizer}: "
        f"{counts['tokens']:,} tokens, {counts['distinct_tokens']:,} of "
        f"them distinct, in a vocabulary of {counts['vocabulary']:,}"
    )
    if counts["unknown_tokens"]:
        about += f"; {counts['unknown_tokens']:,} unknown tokens"
    if counts["windows"] > counts["windows_walked"]:
        about += f"; the first {counts['windows_walked']:,} "
        about += f"of {counts['windows']:,} windows"
    return f"{about}. Positions are counted from 0."


def walked(
    about,
    counts,
    stops: tuple[Stop, ...],
    calls,
    tokens=(),
    ids=(),
    merging=(),
) -> Walk:
    """Compare every named step of the calls, and pick what to show."""
    comparisons, tally = list(compare(calls)), Tally()
    for comparison in comparisons:
        tally.add(comparison)
    by_path = {comparison.path: comparison for comparison in comparisons}
    shown = [
        Shown(
            stop,
            by_path[stop.path],
            *code_of(stop.path, stop.already_shown),
        )
        for stop in stops
    ]
    return Walk(
        *(about, counts, shown, comparisons, tally),
        *map(list, (tokens, ids, merging)),
    )


def a_row_of(shown: Shown, value) -> tuple[list, tuple[int, ...]]:
    """A few neighbouring entries, and where in the array they stand.

    Always in the first window and the first head, and at position 2, or
    the last where there are fewer: even under a causal mask that row has
    something to show.
    """
    if not isinstance(value, np.ndarray):
        return list(value), ()
    outer = zip(shown.stop.axes[:-1], value.shape[:-1], strict=True)
    at = tuple(
        0 if axis in ("windows", "heads") else min(2, size - 1)
        for axis, size in outer
    )
    return value[at].tolist(), at


def sizes(value) -> tuple[int, ...]:
    """The sizes of an array, or the length of anything else."""
    return value.shape if isinstance(value, np.ndarray) else (len(value),)
