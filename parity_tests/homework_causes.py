"""Why a class is wrong: compared with a layer whose parts are wrong ones.

Beside the parts of attention (`mistakes.py`), a layer of heads has four:
how features are split into heads, how heads are merged, which projection
serves for what, and what is done at the end.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import sqrt

import numpy as np

from .diagnosis import alike
from .homework import asked_of
from .homework_weights import Weights, readings
from .mistakes import WRONG_PARTS, Question, attention, normalised
from .subject import Broken

SEEDS = (11, 12)


def split(x: np.ndarray, heads: int) -> np.ndarray:
    return np.stack(np.split(x, heads, axis=-1), axis=-3)


def merge(context: np.ndarray) -> np.ndarray:
    parts = np.split(context, context.shape[-3], axis=-3)
    return np.concatenate([part[..., 0, :, :] for part in parts], axis=-1)


def wired(query, key, value):
    return query, key, value


def finish(merged: np.ndarray, output) -> np.ndarray:
    return merged if output is None else apply(output, merged)


def apply(layer, x: np.ndarray) -> np.ndarray:
    weight, bias = layer
    return np.einsum("...i,oi->...o", x, weight) + bias


def layer_of_heads(
    weights: Weights,
    x: np.ndarray,
    causal: bool,
    split: Callable = split,
    merge: Callable = merge,
    wired: Callable = wired,
    finish: Callable = finish,
    **parts,
) -> np.ndarray:
    """A layer of attention with some parts, perhaps, wrong ones."""
    layers = wired(weights.query, weights.key, weights.value)
    query, key, value = (
        split(apply(layer, x), weights.heads) for layer in layers
    )
    question = Question(query, key, value, causal=causal)
    return finish(merge(attention(question, **parts)), weights.output)


# --- wrong parts ---------------------------------------------------------


def split_by_reshape(x: np.ndarray, heads: int) -> np.ndarray:
    *batch, tokens, width = x.shape
    return x.reshape(*batch, heads, tokens, width // heads)


def split_interleaved(x: np.ndarray, heads: int) -> np.ndarray:
    return np.stack([x[..., head::heads] for head in range(heads)], axis=-3)


def merge_by_reshape(context: np.ndarray) -> np.ndarray:
    *batch, heads, tokens, width = context.shape
    return context.reshape(*batch, tokens, heads * width)


def merge_interleaved(context: np.ndarray) -> np.ndarray:
    moved = np.moveaxis(context, -3, -1)
    return moved.reshape(*moved.shape[:-2], -1)


def over_heads_and_keys(scores: np.ndarray, seen: np.ndarray) -> np.ndarray:
    hidden = np.swapaxes(np.where(seen, scores, -np.inf), -3, -2)
    flat = normalised(hidden.reshape(*hidden.shape[:-2], -1))
    return np.swapaxes(flat.reshape(hidden.shape), -3, -2)


def over_the_heads(scores: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return normalised(np.where(seen, scores, -np.inf), axis=-3)


def along_the_batch(x: np.ndarray, heads: int) -> np.ndarray:
    return split(np.swapaxes(x, 0, 1), heads)


def back_from_the_batch(context: np.ndarray) -> np.ndarray:
    return np.swapaxes(merge(context), 0, 1)


def width_of_all_heads(question: Question) -> float:
    return question.query.shape[-1] * question.query.shape[-3]


WRONG_LAYERS = {
    "the scale is 1/√d_model, not 1/√d_head": {
        "factor": lambda q: 1 / sqrt(width_of_all_heads(q))
    },
    "the scale is 1/√heads, not 1/√d_head": {
        "factor": lambda q: q.query.shape[-3] ** -0.5
    },
    "the heads are split by reshape, without a transpose": {
        "split": split_by_reshape
    },
    "the heads are merged without transposing back": {
        "merge": merge_by_reshape
    },
    "the heads are split and merged without a transpose": {
        "split": split_by_reshape,
        "merge": merge_by_reshape,
    },
    "the heads take every other feature": {"split": split_interleaved},
    "the heads are merged feature by feature": {"merge": merge_interleaved},
    "the softmax runs over heads and keys together": {
        "weigh": over_heads_and_keys
    },
    "the softmax runs over the heads": {"weigh": over_the_heads},
    "the values go through the key's projection": {
        "wired": lambda q, k, v: (q, k, k)
    },
    "the values go through the query's projection": {
        "wired": lambda q, k, v: (q, k, q)
    },
    "the keys go through the query's projection": {
        "wired": lambda q, k, v: (q, q, v)
    },
    "the queries go through the key's projection": {
        "wired": lambda q, k, v: (k, k, v)
    },
    "the keys go through the value's projection": {
        "wired": lambda q, k, v: (q, v, v)
    },
    "the projections of queries and keys are swapped": {
        "wired": lambda q, k, v: (k, q, v)
    },
    "the projections of keys and values are swapped": {
        "wired": lambda q, k, v: (q, v, k)
    },
    "the output projection is left out": {
        "finish": lambda merged, output: merged
    },
    "the output projection is applied twice": {
        "finish": lambda merged, output: finish(
            finish(merged, output), output
        )
    },
    "the bias of the output is left out": {
        "finish": lambda merged, output: finish(merged, output) - output[1]
    },
    "the output is added to itself": {
        "finish": lambda merged, output: 2 * finish(merged, output)
    },
    "attention runs along the batch, not the tokens": {
        "split": along_the_batch,
        "merge": back_from_the_batch,
    },
} | {
    f"the bias of the output is added {count} times": {
        "finish": lambda merged, output, count=count: (
            finish(merged, output) + (count - 1) * output[1]
        )
    }
    for count in (2, 3)
}

WRONG: dict[str, Callable] = {
    name: partial(layer_of_heads, **parts)
    for name, parts in (WRONG_PARTS | WRONG_LAYERS).items()
}


def cause_of_class(homework, plain_case: Callable) -> str | None:
    """The one known mistake that gives what the class gives, or None."""
    cases = [
        plain_case(homework, seed, tokens)
        for seed in SEEDS
        for tokens in (5, 3)
    ]
    try:
        modules = [homework.module(case) for case in cases]
        pairs = list(zip(modules, cases, strict=True))
        came = [asked_of(module, case.x) for module, case in pairs]
        again = [asked_of(module, case.x) for module, case in pairs]
    except Broken as error:
        changed = "changed the tokens" in str(error)
        return "it changes what it was given" if changed else None
    if not all(map(alike, came, again)):
        return "the answer is left to chance: dropout at evaluation"
    matching = [
        names
        for reading in range(len(readings(modules[0], homework.heads)))
        for names in matching_in(
            replace(homework, reading=reading), cases, came
        )
    ]
    if len(matching) != 1 or len(matching[0]) != 1:
        return None
    return matching[0][0]


def matching_in(homework, cases: list, came: list) -> list[list[str]]:
    """The mistakes that give what came, with one reading of the weights."""
    asked = [
        (homework.weights(case), case.x, homework.causal) for case in cases
    ]
    if gives(layer_of_heads, asked, came):
        return []
    known = groups(possible(homework.heads), asked)
    return [names for names in known if gives(WRONG[names[0]], asked, came)]


def possible(heads: int) -> dict[str, Callable]:
    """The mistakes that a class can make: no mask, perhaps no heads."""
    return {
        name: mistake
        for name, mistake in WRONG.items()
        if "another mask" not in name
        and (heads > 1 or not ("heads" in name or "d_model" in name))
    }


def groups(wrong: dict[str, Callable], asked: list) -> list[list[str]]:
    """Mistakes that no question here can tell apart, together."""
    found: list[tuple[list[str], list]] = []
    for name, mistake in wrong.items():
        answers = answers_of(mistake, asked)
        if answers is None:
            continue
        for names, others in found:
            if all(map(alike, answers, others)):
                names.append(name)
                break
        else:
            found.append(([name], answers))
    return [names for names, _ in found]


def answers_of(mistake: Callable, asked: list) -> list | None:
    """What a mistake gives, None where it needs other shapes."""
    try:
        with np.errstate(all="ignore"):
            return [np.asarray(mistake(*one)) for one in asked]
    except (ValueError, TypeError):
        return None


def gives(mistake: Callable, asked: list, came: list) -> bool:
    """Whether a mistake gives all that came."""
    answers = answers_of(mistake, asked)
    return answers is not None and all(
        a.shape == b.shape and alike(a, b)
        for a, b in zip(answers, came, strict=True)
    )
