"""Mutants of the steps: for each property one that must fail it.

Each is wrong in a way that is easily written, or as short as can be; none
is imported from anywhere. The comment above it says what is wrong.
"""

import numpy as np

from parity_tests.judge.steps.property import moved


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def changed(params, move):
    return moved({"params": params}, move)["params"]


def in_place(x, **_):
    x *= 2
    return x


# For each property a step, and a mutant of it that fails the property.
MUTANTS = {
    # the first head only
    "stacked_heads_have_no_order": (
        "stacked_heads",
        lambda x, params, **_: x * params.heads[0].query.bias[0],
    ),
    # bytes as they are
    "printable_bytes_come_first": (
        "byte_ids",
        lambda data: np.array([*data], dtype=int),
    ),
    # counted from the first
    "bytes_do_not_mix": (
        "byte_ids",
        lambda data: np.array([*data], dtype=int) - min(data, default=0),
    ),
    # not sorted, and no last entry
    "pairs_are_sorted_and_keep_their_ranks": (
        "merge_table",
        lambda merges: np.stack(
            [merges[::-1, 0] * 2**31 + merges[::-1, 1], merges[:, 0]]
        ),
    ),
    # a pair's place for its rank
    "a_rank_is_that_of_two_neighbours": (
        "pair_ranks",
        lambda ids, table: np.arange(len(ids) - 1),
    ),
    # every pair is known
    "a_known_pair_has_its_rank_and_no_other_has_one": (
        "pair_ranks",
        lambda ids, table: table[
            1, np.searchsorted(table[0], ids[:-1] * 2**31 + ids[1:])
        ],
    ),
    # all matches are taken
    "from_the_left_every_match_is_taken_that_can_be": (
        "without_overlap",
        lambda matches: matches,
    ),
    # the right one stays
    "a_merge_can_be_undone": (
        "merge_pairs",
        lambda ids, chosen, rank: np.where(
            np.append(chosen, False), rank, ids
        ),
    ),
    # always
    "a_text_has_a_merge_where_a_pair_has_one": (
        "has_merge",
        lambda ids, table: True,
    ),
    # in place
    "inputs_are_left_as_they_were": ("gelu", in_place),
    # the scale is forgotten for one of them
    "queries_and_keys_gain_alike": (
        "attention_scores_backward",
        lambda d_scores, query, key: (
            d_scores @ key,
            d_scores.swapaxes(-2, -1) @ query / query.shape[-1] ** 0.5,
        ),
    ),
    # inputs are returned as their gradients
    "gradients_of_keys_sum_to_0": (
        "scaled_dot_product_attention_backward",
        lambda d_context, query, key, value, mask: (query, key, value),
    ),
    # the same
    "values_get_what_the_outputs_get": (
        "scaled_dot_product_attention_backward",
        lambda d_context, query, key, value, mask: (query, key, value),
    ),
    # the same
    "a_dropped_key_says_nothing_and_learns_nothing": (
        "attention_with_dropout_backward",
        lambda query, key, value, **_: (query, key, value),
    ),
    # the same
    "a_bias_of_all_keys_learns_nothing": (
        "self_attention_backward",
        lambda d_context, x, params: (x, params),
    ),
    # mean and deviation taken for constants
    "no_gradient_goes_where_the_norm_undoes_a_move": (
        "layer_norm_backward",
        lambda d_y, x, params, epsilon: (d_y * params.weight, params),
    ),
    # the same
    "weight_and_bias_gain_what_the_output_gains": (
        "layer_norm_backward",
        lambda d_y, x, params, epsilon: (d_y * params.weight, params),
    ),
    # one slope everywhere
    "slopes_on_both_sides_add_up_to_1": (
        "gelu_backward",
        lambda d_y, x: d_y,
    ),
    # nothing learns
    "both_tables_get_all_of_it": (
        "input_embedding_backward",
        lambda d_x, ids, params: changed(params, lambda _, a: a * 0),
    ),
    # heads come back in another order
    "what_only_moves_numbers_moves_gradients_back": (
        "merge_heads_backward",
        lambda d_merged, x: d_merged.reshape(x.shape),
    ),
}


def assigned(d_embedded, ids, params):
    weight = np.zeros_like(params.weight)
    weight[ids] = d_embedded
    return type(params)(weight)
