"""Generation: temperature, top-k, nucleus, min-p, and a draw."""

from math import inf, log

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor as Array

from .attention import softmax
from .checked import (
    check_at_least,
    check_positive,
    check_probability,
    checked,
)


@checked
def greedy(
    logits: Float[Array, "*batch vocabulary"],
) -> Int[Array, "*batch"]:
    ids = logits.argmax(dim=-1)
    return ids


@checked
def top_k(
    logits: Float[Array, "*batch vocabulary"],
    k: int,
) -> Float[Array, "*batch vocabulary"]:
    check_at_least("k", k, 1)
    check_at_least("tokens to choose k from", logits.shape[-1], k)
    least = logits.topk(k).values[..., -1:]
    filtered = logits.masked_fill(logits < least, -inf)
    return filtered


@checked
def nucleus(
    logits: Float[Array, "*batch vocabulary"],
    p: float,
) -> Float[Array, "*batch vocabulary"]:
    check_probability("p", p)
    order = logits.argsort(dim=-1, stable=True)
    ascending = logits.gather(-1, order)
    cumulative = softmax(ascending).cumsum(dim=-1)
    place = order.argsort(dim=-1)
    mass = cumulative.gather(-1, place)
    likeliest = place == logits.shape[-1] - 1
    filtered = torch.where(likeliest | (mass > 1 - p), logits, -inf)
    return filtered


@checked
def min_p(
    logits: Float[Array, "*batch vocabulary"],
    p: float,
) -> Float[Array, "*batch vocabulary"]:
    check_probability("p", p)
    most = logits.amax(dim=-1, keepdim=True)
    least = most + (log(p) if p > 0 else -inf)
    filtered = torch.where(logits < least, -inf, logits)
    return filtered


@checked
def repetition_penalty(
    logits: Float[Array, "*batch vocabulary"],
    seen: Bool[Array, "*#batch #vocabulary"],
    penalty: float,
) -> Float[Array, "*batch vocabulary"]:
    check_positive("penalty", penalty)
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    penalised = torch.where(seen, lowered, logits)
    return penalised


@checked
def sample(
    probabilities: Float[Array, "*batch vocabulary"],
    uniform: Float[Array, "*batch"],
) -> Int[Array, "*batch"]:
    cumulative = probabilities.cumsum(dim=-1)
    place = uniform[..., None] * cumulative[..., -1:]
    ids = (cumulative <= place).sum(dim=-1)
    return ids


@checked
def choose(
    logits: Float[Array, "*batch vocabulary"],
    uniform: Float[Array, "*batch"],
    temperature: float,
    k: int,
    p: float,
    min_share: float = 0.0,
) -> Int[Array, "*batch"]:
    check_positive("temperature", temperature)
    check_probability("min_share", min_share)
    tempered = logits / temperature
    likely = top_k(tempered, k)
    in_nucleus = nucleus(likely, p)
    kept = min_p(in_nucleus, min_share)
    probabilities = softmax(kept)
    ids = sample(probabilities, uniform)
    return ids
