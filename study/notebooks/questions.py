"""The questions of the notebook `from_scratch`, each with its check.

A question takes an answer and what the reader was given, and computes the
right answer with the project's own functions; each common wrong answer has
a hint of its own.
"""

from collections.abc import Callable
from fractions import Fraction
from math import log, sqrt

import numpy as np
from numpy import ndarray as Array

from numpy_ref.attention import attention_scores, softmax_with_temperature
from numpy_ref.byte_pair_encoding import byte_ids, merge_all, merge_table
from numpy_ref.checkpoints.gpt2_config import Gpt2Config, parameter_count
from numpy_ref.layers import dropout
from numpy_ref.tokenizers.bpe_tokenizer import BytePairTokenizer
from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_tokenizer
from numpy_ref.windows import batches, window_starts
from numpy_ref.word_tokenizer import (
    build_vocabulary,
    decode,
    encode,
    split_words,
)
from parity_tests.claims.heads import LEAST_ERROR

from .answers import Verdict, judged, judged_attention, judged_step

MOST = 1000  # the largest denominator of an answer


def rounded(right: float) -> list[tuple[float, str]]:
    """Rounded forms of a long number, each with a hint."""
    hint = "That is rounded: answer with the expression itself."
    near = [round(right, digits) for digits in range(7)]
    return [(n, hint) for n in near if abs(n / right - 1) < 1 / 100]


def tokens_of(answer, text: str) -> Verdict:
    """The list of a text's tokens."""
    return judged(
        answer,
        split_words(text),
        [
            (text.split(), "The pattern also cuts at punctuation."),
            (
                [token for token in split_words(text) if token.isalpha()],
                "Punctuation marks are tokens as well.",
            ),
            (
                text.replace("--", " -- ").replace("!", " !").split(),
                "An apostrophe is a punctuation mark, too.",
            ),
            (
                text.replace("--", " -- ")
                .replace("!", " !")
                .replace("'", " '")
                .split(),
                "The pattern cuts on both sides of an apostrophe.",
            ),
        ],
    )


def entries_of(answer, text: str) -> Verdict:
    """The size of a text's vocabulary."""
    tokens = split_words(text)
    right = len(build_vocabulary(tokens))
    return judged(
        answer,
        right,
        [
            (len(tokens), "Each distinct token has one entry."),
            (len({*tokens}), "The special tokens have entries, too."),
            (len(tokens) + 2, "Each distinct token has one entry."),
            (right - 1, "There are two special tokens."),
        ],
    )


def there_and_back(answer, known: str, text: str) -> Verdict:
    """What is left of a text after encoding and decoding."""
    vocabulary = build_vocabulary(split_words(known))
    right, lower_case = (
        decode(encode(form, vocabulary), vocabulary)
        for form in (text, text.lower())
    )
    marks_kept = " ".join(
        token if token in vocabulary or not token.isalpha() else "<|unk|>"
        for token in split_words(text)
    )
    return judged(
        answer,
        right,
        [
            (text, "Not every token of it is in the vocabulary."),
            (
                right.replace(" <|unk|>", "<|unk|>"),
                "Only punctuation has no space before it, and an unknown "
                "token does not count as punctuation.",
            ),
            (lower_case, "A capital letter makes it a different token."),
            (
                marks_kept.replace(" !", "!"),
                "A mark that is not in the vocabulary is unknown, too.",
            ),
        ],
    )


def merged_pieces(answer, merges: Array, word: str) -> Verdict:
    """The pieces that are left of a word when all merges are done."""
    return judged(
        answer,
        pieces_of(merges, word),
        [
            ([*word], "Merge the pair of lowest rank first."),
            (
                ["aa", "aa", "b"],
                "Look again: one more pair can be merged.",
            ),
            (
                ["a", "a", "aab"],
                "Merge the pair of lowest rank everywhere first.",
            ),
            *(
                (pieces, "Only the two pairs that were learned are merged.")
                for pieces in ([word], ["aaaa", "b"])
            ),
        ],
    )


def pieces_of(merges: Array, word: str) -> list[str]:
    """The pieces of a word after merging, as strings."""
    tokens = BytePairTokenizer(merges).tokens
    ids = merge_all(byte_ids(word.encode()), merge_table(merges))
    return [tokens[token_id].decode() for token_id in ids.tolist()]


def most_tokens(answer, word: str) -> Verdict:
    """The largest number of tokens that BPE can make of a word."""
    return judged(
        answer,
        len(word.encode()),
        [
            (
                len(word),
                "It starts from bytes, not from characters.",
            ),
            (1, "That is the fewest, when all its merges were learned."),
            (
                len(gpt2_tokenizer().encode_ordinary(word)),
                "That is with GPT-2's merges; there may be none at all.",
            ),
        ],
    )


def pairs_of(answer, tokens: list[str]) -> Verdict:
    """How many pairs of context and next token there are."""
    return judged(
        answer,
        len(tokens) - 1,
        [(len(tokens), "What would the last token's target be?")],
    )


def how_many_windows(
    answer, tokens: int, context_length: int, stride: int
) -> Verdict:
    right = len(window_starts(tokens, context_length, stride))
    return judged(
        answer,
        right,
        [
            (
                right + 1,
                "The last window would lack its last target.",
            ),
            (tokens // stride, "A window must end before the text does."),
        ],
    )


def how_many_batches(
    answer, windows: int, batch_size: int, drop_last: bool
) -> Verdict:
    order = np.arange(windows)
    right = len(batches(order, batch_size, drop_last))
    other = len(batches(order, batch_size, not drop_last))
    return judged(
        answer,
        right,
        [
            (other, "What happens to the last batch, which is not full?"),
            (windows / batch_size, "There are no fractions of a batch."),
        ],
    )


def a_look_up(answer: Callable) -> Verdict:
    return judged_step(answer, "one_hot_embedding")


def slowest_wave(answer, d_model: int) -> Verdict:
    """One over the frequency of the last pair of features."""
    right = 10000 ** ((d_model - 2) / d_model)
    return judged(
        answer,
        right,
        [
            (10000, "The last pair does not quite reach the base."),
            (1 / right, "That is the frequency itself."),
            (
                10000 ** ((d_model - 1) / d_model),
                "The even feature of a pair counts, here the last but one.",
            ),
            *rounded(right),
        ],
    )


def shape_of_input(answer, ids: tuple[int, int], d_model: int) -> Verdict:
    """The shape of the sum of both embeddings."""
    return judged(
        answer,
        (*ids, d_model),
        [
            ((ids[1], d_model), "That is the shape for one window."),
            (ids, "Each id becomes a row of features."),
        ],
    )


def a_simple_attention(answer: Callable) -> Verdict:
    return judged_step(answer, "simple_attention")


def score_in_ln_2(answer, query, key) -> Verdict:
    """A score of the example, whose query carries the unit."""
    unit = sqrt(2) * log(2)
    arrays = unit * np.array([query], float), np.array([key], float)
    (score,) = attention_scores(*arrays)[0] / log(2)
    return judged(
        answer,
        round(float(score)),
        [
            (score * sqrt(2), "The scale has cancelled the root."),
            (score * log(2), "Count in units of ln 2."),
            (
                score / sqrt(2),
                "The scale only cancels the root in the query's factor.",
            ),
        ],
    )


def a_softmax(answer: Callable) -> Verdict:
    return judged_step(answer, "softmax")


def greatest_weight(
    answer, scores_in_ln_2: list[int], temperature: float
) -> Verdict:
    """The greatest weight at a temperature, as a fraction."""
    scores = log(2) * np.array(scores_in_ln_2, float)
    right, unheated = (
        as_fraction(softmax_with_temperature(scores, heat).max())
        for heat in (temperature, 1.0)
    )
    times = softmax_with_temperature(scores, 1 / temperature).max()
    bare = softmax_with_temperature(scores / log(2), temperature).max()
    return judged(
        answer,
        right,
        [
            (unheated, "Divide the scores by the temperature first."),
            (times, "Divide by the temperature instead of multiplying."),
            (bare, "The scores are in units of ln 2: raise 2 to them."),
            *rounded(float(right)),
        ],
    )


def as_fraction(number: float) -> Fraction:
    return Fraction(float(number)).limit_denominator(MOST)


def mean_context(answer, values) -> Verdict:
    """The context of a query that scores all its keys alike."""
    total = [
        sum(map(Fraction, column)) for column in zip(*values, strict=True)
    ]
    return judged(
        answer,
        [part / len(values) for part in total],
        [(total, "The weights sum to one.")],
    )


def parameters_of_self_attention(
    answer, d_model: int, d_head: int
) -> Verdict:
    """How many parameters three linear layers have."""
    one = d_model * d_head + d_head
    return judged(
        answer,
        3 * one,
        [
            (one, "That is one of the three layers."),
            (3 * d_model * d_head, "Each layer has a bias, too."),
            (
                3 * (d_model * d_head + d_model),
                "A bias is added to the output, so it is as long as that.",
            ),
        ],
    )


def an_attention(answer: Callable) -> Verdict:
    return judged_attention(answer)


def own_derivative(answer, weight: Fraction) -> Verdict:
    """The derivative of a weight by its own score, which softmax has."""
    return judged(
        answer,
        weight * (1 - weight),
        [
            (weight, "The sum in the denominator grows as well."),
            (1 - weight, "That is the derivative of its logarithm."),
            (
                -weight * weight,
                "So it is by the score of another key of equal weight.",
            ),
        ],
    )


def a_causal_mask(answer: Callable) -> Verdict:
    return judged_step(answer, "causal_mask")


def sum_after_dropout(
    answer, weights: list[Fraction], dropout_mask: list[bool], rate: float
) -> Verdict:
    """What a row of weights sums to when some are dropped."""
    row = np.array(weights, dtype=np.float64)
    right = as_fraction(dropout(row, np.array(dropout_mask), rate).sum())
    left = sum(
        w for w, kept in zip(weights, dropout_mask, strict=True) if kept
    )
    return judged(
        answer,
        right,
        [
            (1, "What is left is not normalised again."),
            (left, "What is left is scaled up."),
        ],
    )


def merged_width(answer, heads: int, d_head: int) -> Verdict:
    """How many features the concatenated heads have."""
    return judged(
        answer,
        heads * d_head,
        [
            (d_head, "That is one head; they stand side by side."),
            (heads + d_head, "Each head has that many features."),
        ],
    )


def heads_that_are_split(answer: Callable) -> Verdict:
    return judged_step(answer, "split_heads")


def multiplications(answer, heads: int) -> Verdict:
    """How many times as many multiplications stacked heads take."""
    return judged(
        answer,
        1,
        [
            (heads, "Each head's layer is narrower by that factor."),
            (1 / heads, "There are as many layers as heads."),
        ],
    )


def least_odds(answer) -> Verdict:
    """How many times the wrong token's weight the right one must get."""
    right = sqrt(2) / LEAST_ERROR - 1
    return judged(
        answer,
        round(right, 9),
        [
            (log(right), "That is the gap of the scores; raise e to it."),
            (right + 1, "The odds are one weight over the other."),
            (1 / right, "Divide the right one by the wrong one."),
            (right / (1 + right), "That is the right one's weight."),
            (1 / (1 + right), "That is the wrong one's weight."),
        ],
    )


def previous_token_head(answer, weights: Array) -> Verdict:
    """The head that looks most at the previous token: layer and head.

    `weights` is (layer, head, query, key).
    """
    before, after = (offset_mass(weights, offset) for offset in (-1, 1))
    return judged(
        answer,
        best(before),
        [
            (best(before)[::-1], "First the layer, then the head."),
            (best(after), "That one looks at the next token."),
        ],
    )


def offset_mass(weights: Array, offset: int) -> Array:
    """Each head's mean weight at a fixed offset from the query."""
    return weights.diagonal(offset, -2, -1).mean(axis=-1)


def best(mass: Array) -> tuple[int, int]:
    layer, head = np.unravel_index(mass.argmax(), mass.shape)
    return int(layer), int(head)


def more_with_more_heads(answer, config: Gpt2Config) -> Verdict:
    """How many more parameters twice as many heads bring."""
    return judged(
        answer,
        0,
        [
            (parameter_count(config), "Each head is then half as wide."),
            (
                4 * (config.d_model**2 + config.d_model),
                "The layers stay as wide as they were.",
            ),
        ],
    )


def oldest_idea(answer, years: dict[str, int]) -> Verdict:
    """The idea that was published first."""
    right = min(years, key=years.get)
    return judged(
        answer,
        right,
        [
            (idea, f"That is from {year}.")
            for idea, year in years.items()
            if idea != right
        ],
    )
