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
    # a sigmoid for each score
    "weights_are_a_distribution": (
        "softmax",
        lambda scores: 1 / (1 + np.exp(-scores)),
    ),
    # powers of 2
    "a_weight_over_another_is_e_to_their_scores_difference": (
        "softmax",
        lambda scores: softmax(scores * np.log(2).astype(scores.dtype)),
    ),
    # no shift by the maximum
    "a_number_added_to_every_score_changes_nothing": (
        "softmax",
        lambda scores: (
            np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        ),
    ),
    # the mask is multiplied in
    "what_is_behind_the_mask_does_not_matter": (
        "masked_softmax",
        lambda scores, mask: softmax(scores * mask),
    ),
    # no scale
    "a_key_with_one_feature_reads_off_that_of_the_query": (
        "attention_scores",
        lambda query, key: query @ key.swapaxes(-2, -1),
    ),
    # squares of the query
    "queries_and_keys_may_change_places": (
        "attention_scores",
        lambda query, key: query**2 @ key.swapaxes(-2, -1),
    ),
    # minus a distance
    "features_add_up": (
        "attention_scores",
        lambda query, key: (
            -abs(query[..., None, :] - key[..., None, :, :]).max(-1)
        ),
    ),
    # sums for means
    "an_output_lies_between_the_values": (
        "scaled_dot_product_attention",
        lambda query, value, **_: (
            query[..., :1] * 0 + value.sum(-2, keepdims=True)
        ),
    ),
    # nothing is dropped
    "a_dropped_weight_counts_like_a_value_of_zeros": (
        "attention_with_dropout",
        lambda query, value, **_: (
            query[..., :1] * 0 + value.sum(-2, keepdims=True)
        ),
    ),
    # nothing is scaled up
    "what_is_left_is_scaled_up": (
        "attention_with_dropout",
        lambda query, value, **_: (
            query[..., :1] * 0 + value.sum(-2, keepdims=True)
        ),
    ),
    # below the diagonal, without it
    "a_query_sees_the_keys_up_to_its_own_position": (
        "causal_mask",
        lambda queries, keys, past: np.tri(queries, keys, past - 1, bool),
    ),
    # the past is forgotten
    "a_mask_after_a_cache_is_the_rest_of_a_whole_one": (
        "causal_mask",
        lambda queries, keys, past: np.tri(queries, keys, 0, bool),
    ),
    # one key too many
    "a_text_has_as_many_keys_as_tokens": (
        "padding_mask",
        lambda lengths, keys: np.arange(keys) <= lengths[:, None, None],
    ),
    # features dealt out in turn
    "a_head_is_a_slice_of_the_features": (
        "split_heads",
        lambda x, heads: np.moveaxis(
            x.reshape(*x.shape[:-1], -1, heads), -1, -3
        ),
    ),
    # no swap before the reshape
    "a_head_becomes_a_slice_of_the_features": (
        "merge_heads",
        lambda x: x.reshape(*x.shape[:-3], x.shape[-2], -1),
    ),
    # a running sum
    "the_order_of_tokens_moves_with_them": (
        "simple_attention",
        lambda x: np.cumsum(x, -2),
    ),
    # the mean of all tokens
    "a_later_token_changes_no_earlier_output": (
        "multi_head_attention",
        lambda x, **_: x * 0 + x.mean(-2, keepdims=True),
    ),
    # twice itself
    "a_single_token_gets_its_own_value": (
        "simple_attention",
        lambda x: 2 * x,
    ),
    # the bias is forgotten
    "a_fully_masked_token_gets_the_output_bias": (
        "multi_head_attention",
        lambda x, **_: x * 0,
    ),
    # the bias of queries is added to the output
    "heads_have_no_order": (
        "multi_head_attention",
        lambda x, params, **_: x * 0 + params.query.bias,
    ),
    # the number of heads leaks out
    "a_head_alone_is_attention_of_its_width": (
        "multi_head_attention",
        lambda x, heads, **_: x * heads,
    ),
    # the first head only
    "stacked_heads_have_no_order": (
        "stacked_heads",
        lambda x, params, **_: x * params.heads[0].query.bias[0],
    ),
    # all tokens shifted by the first
    "tokens_do_not_mix": (
        "linear",
        lambda x, params: (
            (x - x.reshape(-1, x.shape[-1])[0]) @ params.weight.T
        ),
    ),
    # no bias
    "zeros_give_the_bias": (
        "linear",
        lambda x, params: x @ params.weight.T,
    ),
    # twice the weight
    "a_feature_gives_its_column_of_weights": (
        "linear",
        lambda x, params: 2 * x @ params.weight.T + params.bias,
    ),
    # an absolute value
    "features_add_up_over_the_bias": (
        "linear",
        lambda x, params: abs(x @ params.weight.T + params.bias),
    ),
    # multiplied by the mask
    "what_is_dropped_is_zero": (
        "dropout",
        lambda x, dropout_mask, rate: x * dropout_mask / (1 - rate),
    ),
    # scaled by the rate
    "what_is_kept_is_scaled_up": (
        "dropout",
        lambda x, dropout_mask, rate: (
            np.where(dropout_mask, x, 0) * (1 - rate)
        ),
    ),
    # centred only
    "features_have_mean_0_and_variance_1": (
        "layer_norm",
        lambda x, **_: x - x.mean(-1, keepdims=True),
    ),
    # the sign is wrong
    "features_keep_their_order": ("layer_norm", lambda x, **_: -x),
    # the weight is forgotten
    "weight_and_bias_come_at_the_end": (
        "layer_norm",
        lambda x, params, **_: x + params.bias,
    ),
    # no second layer
    "between_the_layers_the_large_passes_and_the_small_is_lost": (
        "feed_forward",
        lambda x, params: x * 0 + params.output.bias,
    ),
    # epsilon outside of the root
    "the_size_of_features_does_not_matter": (
        "layer_norm",
        lambda x, epsilon, **_: x / (x.std(-1, keepdims=True) + epsilon),
    ),
    # a ReLU of the size
    "both_sides_together_give_the_feature": ("gelu", lambda x: abs(x)),
    # half of it
    "far_out_it_is_all_or_nothing": ("gelu", lambda x: x / 2),
    # a logistic function for the normal one
    "the_share_grows_by_the_normal_density": (
        "gelu",
        lambda x: x / (1 + np.exp(-1.702 * x)),
    ),
    # the cube is forgotten
    "without_its_tanh_it_is_a_cubic": (
        "gelu_tanh",
        lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * x)),
    ),
    # the next row
    "a_token_gets_its_own_row": (
        "token_embedding",
        lambda ids, params: params.weight[ids - 1],
    ),
    # scaled by a root
    "a_row_is_returned_unchanged": (
        "token_embedding",
        lambda ids, params: 3 * params.weight[ids],
    ),
    # no positions
    "token_and_position_add_up": (
        "input_embedding",
        lambda ids, params: params.token.weight[ids],
    ),
    # cosines first
    "position_0_is_zeros_and_ones": (
        "sinusoidal_positions",
        lambda positions, d_model: (
            np.cos(positions)[:, None] + np.zeros(d_model, positions.dtype)
        ),
    ),
    # angles by the square of the position
    "a_shift_is_a_rotation": (
        "sinusoidal_positions",
        lambda positions, d_model: (
            np.sin(positions**2)[:, None]
            + np.zeros(d_model, positions.dtype)
        ),
    ),
    # all features turn alike
    "wavelengths_grow_to_ten_thousand": (
        "sinusoidal_positions",
        lambda positions, d_model: np.where(
            np.arange(d_model) % 2,
            np.cos(positions)[:, None],
            np.sin(positions)[:, None],
        ),
    ),
    # the maximum alone
    "what_is_left_are_probabilities": (
        "log_sum_exp",
        lambda logits: logits.max(-1),
    ),
    # the mean of two
    "a_number_added_to_all_is_added_to_it": (
        "log_sum_exp",
        lambda logits: logits.max(-1) / 2,
    ),
    # minus the logit alone
    "surprises_are_those_of_probabilities": (
        "cross_entropy",
        lambda logits, **_: -logits.sum(),
    ),
    # all targets alike
    "a_likelier_target_surprises_less": (
        "cross_entropy",
        lambda logits, **_: logits.max(),
    ),
    # a sum for a mean
    "the_loss_is_the_mean_over_what_counts": (
        "cross_entropy",
        lambda logits, **_: logits.sum(),
    ),
    # nothing is ignored
    "what_is_ignored_does_not_matter": (
        "cross_entropy",
        lambda logits, **_: logits.sum(),
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
    # the text is turned around
    "a_merge_can_be_written_out": (
        "merge_lowest",
        lambda ids, table: ids[::-1],
    ),
    # nothing is merged
    "the_earliest_pair_is_gone_and_no_other": (
        "merge_lowest",
        lambda ids, table: ids,
    ),
    # always
    "a_text_has_a_merge_where_a_pair_has_one": (
        "has_merge",
        lambda ids, table: True,
    ),
    # nothing is merged
    "nothing_is_left_to_merge": ("merge_all", lambda ids, table: ids),
    # room for the targets is forgotten
    "every_whole_window_has_its_start": (
        "window_starts",
        lambda tokens, context_length, stride: np.arange(
            0, tokens - context_length + 1, stride
        ),
    ),
    # the end is not covered
    "the_last_window_ends_where_the_text_ends": (
        "covering_window_starts",
        lambda tokens, context_length, stride: np.arange(
            0, tokens - context_length, stride
        ),
    ),
    # targets are the inputs
    "a_target_is_what_comes_next": (
        "windows",
        lambda ids, starts, context_length: (
            (ids[starts[:, None] + np.arange(context_length)],) * 2
        ),
    ),
    # places for tokens
    "windows_are_of_the_text": (
        "windows",
        lambda ids, starts, context_length: (
            starts[:, None] + np.arange(context_length),
            starts[:, None] + np.arange(context_length) + 1,
        ),
    ),
    # the last batch always stays
    "batches_take_all_in_order": (
        "batches",
        lambda permutation, batch_size, drop_last: np.split(
            permutation,
            range(batch_size, len(permutation), batch_size),
        ),
    ),
    # in place
    "inputs_are_left_as_they_were": ("gelu", in_place),
    # half of the gradient
    "a_small_move_changes_the_output_as_the_gradient_says": (
        "dropout_backward",
        lambda d_y, x, dropout_mask, rate: d_y * dropout_mask,
    ),
    # the first term of two
    "what_one_key_gains_the_others_lose": (
        "softmax_backward",
        lambda d_weights, scores: softmax(scores) * d_weights,
    ),
    # the same
    "a_number_added_to_every_weights_gradient_changes_nothing": (
        "softmax_backward",
        lambda d_weights, scores: softmax(scores) * d_weights,
    ),
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
    # the same
    "the_last_bias_gets_the_sum_of_all": (
        "linear_backward",
        lambda d_y, x, params: (x, params),
    ),
    # a mean over the tokens
    "inputs_and_weights_gain_alike": (
        "linear_backward",
        lambda d_y, x, params: (x, params),
    ),
    # dropped in the forward step alone
    "what_is_dropped_learns_nothing": (
        "dropout_backward",
        lambda d_y, x, dropout_mask, rate: d_y / (1 - rate),
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
    # the last token of each kind counts
    "a_row_gets_the_sum_of_its_tokens": (
        "token_embedding_backward",
        lambda d_embedded, ids, params: assigned(d_embedded, ids, params),
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
    # the target is forgotten
    "a_row_of_logits_gains_what_it_loses": (
        "cross_entropy_backward",
        lambda d_loss, logits, **_: d_loss * softmax(logits),
    ),
}


def assigned(d_embedded, ids, params):
    weight = np.zeros_like(params.weight)
    weight[ids] = d_embedded
    return type(params)(weight)
