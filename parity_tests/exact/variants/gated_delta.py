from math import inf

import numpy as np

from parity_tests.bounds.gradients import (
    along_paths,
    negative,
    transposed,
)
from parity_tests.bounds.rounding import (
    at_most_one,
    exponential,
    product,
    products,
    where,
)

from ..key_value_cache import after
from ..numbers import known_exactly, stacked
from .linear_attention import row


def gated_delta_step(state, query, key, value, log_decay, beta):
    decay = spread(at_most_one(exponential(log_decay)), 2)
    faded = decay * state
    recalled = product("...iv,...i->...v", faded, key)
    missing = value - recalled
    correction = spread(beta, 1) * missing
    written = products("...i,...v->...iv", key, correction)
    new_state = faded + written
    output = product("...iv,...i->...v", new_state, query)
    return locals()


def spread(a, axes):
    """With so many axes more, of size 1."""
    return a.moved(lambda part: part.reshape(*part.shape, *[1] * axes))


def tokens_of(position, query, key, value, log_decay, beta):
    """What one token has, or a chunk."""
    return (
        *(row(a, position) for a in (query, key, value)),
        *(a.moved(lambda p: p[..., position]) for a in (log_decay, beta)),
    )


def recurrent_gated_delta(query, key, value, log_decay, beta, state):
    outputs, states = [], [state]
    for position in range(query.shape[-2]):
        token = tokens_of(position, query, key, value, log_decay, beta)
        steps = gated_delta_step(states[-1], *token)
        outputs.append(steps["output"])
        states.append(steps["new_state"])
    context = stacked(outputs, -2)
    return {
        "outputs": outputs,
        "output": outputs[-1],
        "context": context,
        "new_state": states[-1],
        "states": states,
    }


def recurrent_gated_delta_backward(
    d_context, query, key, value, log_decay, beta, state
):
    states = recurrent_gated_delta(
        query, key, value, log_decay, beta, state
    )["states"]
    later = known_exactly(np.zeros(state.shape), state)
    by_token = []
    for position in reversed(range(query.shape[-2])):
        token = tokens_of(position, query, key, value, log_decay, beta)
        of_token = step_backward(
            row(d_context, position), later, states[position], *token
        )
        later = of_token["d_state"]
        by_token.insert(0, of_token)
    axes = {"query": -2, "key": -2, "value": -2, "log_decay": -1}
    axes |= {"beta": -1}
    gradients = {
        f"d_{name}": stacked([of[f"d_{name}"] for of in by_token], axis)
        for name, axis in axes.items()
    }
    return gradients | {"d_state": later}


def step_backward(
    d_output, later, state, query, key, value, log_decay, beta
):
    steps = gated_delta_step(state, query, key, value, log_decay, beta)
    faded = steps["faded"]
    d_query = product("...iv,...v->...i", steps["new_state"], d_output)
    d_new_state = along_paths(
        later, products("...i,...v->...iv", query, d_output)
    )
    d_correction = product("...iv,...i->...v", d_new_state, key)
    d_value = spread(beta, 1) * d_correction
    d_beta = product("...v,...v->...", d_correction, steps["missing"])
    back = products("...i,...v->...iv", key, negative(d_value))
    d_faded = along_paths(d_new_state, back)
    d_key = along_paths(
        product("...iv,...v->...i", d_new_state, steps["correction"]),
        product("...iv,...v->...i", faded, negative(d_value)),
    )
    decay = steps["decay"]
    d_log_decay = products(
        *("...iv,...iv,...->...", d_faded, state),
        decay.moved(lambda a: a[..., 0, 0]),
    )
    d_state = decay * d_faded
    return locals()


def decay_ratios(log_decay):
    causal = np.tri(log_decay.shape[-1], dtype=bool)
    log_total = so_far(log_decay)
    column = log_total.moved(lambda a: a[..., :, None])
    log_ratio = column - log_total.moved(lambda a: a[..., None, :])
    allowed = where(causal, log_ratio, -inf)
    finite = where(causal, log_ratio, 0)
    ratios = where(causal, exponential(finite), 0)
    return locals()


def so_far(a):
    """Cumulative sums, each of as many terms as there are before it."""
    causal = known_exactly(np.tri(a.shape[-1]), a)
    return products("...j,ij->...i", a, causal)


def decay_ratios_backward(d_ratios, log_decay):
    ratios = decay_ratios(log_decay)["ratios"]
    d_allowed = d_ratios * ratios
    d_log_ratio = d_allowed
    rows = d_log_ratio.total().moved(lambda a: a[..., 0])
    columns = transposed(d_log_ratio).total().moved(lambda a: a[..., 0])
    d_log_total = along_paths(rows, negative(columns))
    d_log_decay = so_far(d_log_total.moved(lambda a: a[..., ::-1])).moved(
        lambda a: a[..., ::-1]
    )
    return locals()


def forward_substitution(lower, right):
    """What is known may be taken off a row at once, or one by one."""
    rows = []
    for index in range(right.shape[-2]):
        known = [
            negative(spread(entry(lower, index, column), 1) * line)
            for column, line in enumerate(rows)
        ]
        rows.append(along_paths(row(right, index), *known))
    solution = stacked(rows, -2)
    return locals()


def entry(a, index, column):
    return a.moved(lambda part: part[..., index, column])


def forward_substitution_backward(d_solution, lower, right):
    solution = forward_substitution(lower, right)["solution"]
    turned = transposed(lower).moved(lambda a: a[..., ::-1, ::-1])
    from_last = d_solution.moved(lambda a: a[..., ::-1, :])
    d_right = forward_substitution(turned, from_last)["solution"].moved(
        lambda a: a[..., ::-1, :]
    )
    products_of_rows = product("...ic,...jc->...ij", d_right, solution)
    d_lower = negative(products_of_rows.moved(lambda a: np.tril(a, -1)))
    return locals()


def gated_delta_chunk(state, query, key, value, log_decay, beta):
    row_beta = spread(beta, 1)
    ratios = decay_ratios(log_decay)["ratios"]
    left_of_state = spread(exponential(so_far(log_decay)), 1)
    similarity = product("...qi,...ki->...qk", key, key)
    lower = row_beta * ratios * similarity
    new_values = forward_substitution(lower, row_beta * value)["solution"]
    recall = forward_substitution(lower, row_beta * left_of_state * key)[
        "solution"
    ]
    corrections = new_values - product("...qi,...iv->...qv", recall, state)
    earlier = product("...qi,...iv->...qv", left_of_state * query, state)
    weights = ratios * product("...qi,...ki->...qk", query, key)
    output = earlier + product("...qk,...kv->...qv", weights, corrections)
    faded = left_of_state.moved(lambda a: a[..., -1:, :]) * state
    left_of_key = ratios.moved(lambda a: a[..., -1, :, None]) * key
    new_state = faded + product(
        "...ki,...kv->...iv", left_of_key, corrections
    )
    return locals()


def chunkwise_gated_delta(query, key, value, log_decay, beta, state, chunk):
    outputs = []
    for start in range(0, query.shape[-2], chunk):
        rows = slice(start, start + chunk)
        steps = gated_delta_chunk(
            state, *tokens_of(rows, query, key, value, log_decay, beta)
        )
        output, state = steps["output"], steps["new_state"]
        outputs.append(output)
    context = outputs[0]
    for later in outputs[1:]:
        context = after(context, later)
    return {
        "outputs": outputs,
        "output": output,
        "rows": rows,
        "context": context,
        "new_state": state,
    }
