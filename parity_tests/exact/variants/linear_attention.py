import numpy as np

from parity_tests.bounds.gradients import (
    along_paths,
    negative,
    quotient,
)
from parity_tests.bounds.rounding import (
    Bounded,
    at_most_one,
    exponential,
    product,
    products,
)

from ..key_value_cache import after
from ..numbers import joined, known_exactly, stacked


def linear_attention_step(state, query, key, value):
    written = products("...i,...v->...iv", key, value)
    new_state = state + written
    output = product("...iv,...i->...v", new_state, query)
    return locals()


def recurrent_linear_attention(query, key, value, state):
    outputs = []
    for position in range(query.shape[-2]):
        token = (row(a, position) for a in (query, key, value))
        steps = linear_attention_step(state, *token)
        output, state = steps["output"], steps["new_state"]
        outputs.append(output)
    context = stacked(outputs, -2)
    return {
        "outputs": outputs,
        "output": output,
        "context": context,
        "new_state": state,
    }


def row(a, position):
    return a.moved(lambda part: part[..., position, :])


def recurrent_linear_attention_backward(
    d_context, query, key, value, state
):
    positions = query.shape[-2]
    causal = known_exactly(np.tri(positions), query)
    d_query = along_paths(
        product("...iv,...dv->...id", d_context, state, extra=positions),
        products(
            "...iv,...jv,...jd,ij->...id", d_context, value, key, causal
        ),
    )
    d_key = products(
        "...iv,...jv,...id,ij->...jd", d_context, value, query, causal
    )
    d_value = products(
        "...iv,...jd,...id,ij->...jv", d_context, key, query, causal
    )
    d_state = product("...id,...iv->...dv", query, d_context)
    return locals()


def linear_attention_chunk(state, query, key, value):
    earlier = product("...qi,...iv->...qv", query, state)
    weights = product("...qi,...ki->...qk", query, key).moved(np.tril)
    output = earlier + product("...qk,...kv->...qv", weights, value)
    new_state = state + product("...ki,...kv->...iv", key, value)
    return locals()


def chunkwise_linear_attention(query, key, value, state, chunk):
    outputs = []
    for start in range(0, query.shape[-2], chunk):
        rows = slice(start, start + chunk)
        steps = linear_attention_chunk(
            state, *(row(a, rows) for a in (query, key, value))
        )
        output, state = steps["output"], steps["new_state"]
        outputs.append(output)
    context = outputs[0]
    for output in outputs[1:]:
        context = after(context, output)
    return {
        "outputs": outputs,
        "output": output,
        "rows": rows,
        "context": context,
        "new_state": state,
    }


def chunkwise_linear_attention_backward(
    d_context, query, key, value, state, chunk
):
    return recurrent_linear_attention_backward(
        d_context, query, key, value, state
    )


def elu_plus_one(x):
    low = Bounded(np.minimum(x.value, 0), x.error, x.rounding)
    high = Bounded(np.maximum(x.value, 0), x.error, x.rounding)
    slope = at_most_one(exponential(low))
    features = slope + high
    return locals()


def elu_plus_one_backward(d_features, x):
    slope = elu_plus_one(x)["slope"]
    d_x = d_features * slope
    return locals()


def in_features(query, key, value, state, normaliser):
    query_features = elu_plus_one(query)["features"]
    key_features = elu_plus_one(key)["features"]
    ones = known_exactly(np.ones((*value.shape[:-1], 1)), value)
    value_and_one = joined([value, ones])
    column = normaliser.moved(lambda a: a[..., None])
    both_states = joined([state, column])
    return locals()


def divided(sums, left):
    weighted, new_state = (
        a.moved(lambda part: part[..., :-1]) for a in (sums, left)
    )
    total = sums.moved(lambda a: a[..., -1:])
    context = quotient(weighted, total)
    new_normaliser = left.moved(lambda a: a[..., -1])
    return locals()


def kernel_attention(query, key, value, state, normaliser):
    steps = in_features(query, key, value, state, normaliser)
    inner = recurrent_linear_attention(*sums_of(steps))
    sums, left = inner["context"], inner["new_state"]
    return steps | divided(sums, left)


def sums_of(steps):
    return (
        *(steps["query_features"], steps["key_features"]),
        *(steps["value_and_one"], steps["both_states"]),
    )


def kernel_attention_backward(
    d_context, query, key, value, state, normaliser
):
    steps = kernel_attention(query, key, value, state, normaliser)
    total, context = steps["total"], steps["context"]
    d_weighted = quotient(d_context, total)
    d_total = negative((d_weighted * context).total())
    d_sums = joined([d_weighted, d_total])
    back = recurrent_linear_attention_backward(d_sums, *sums_of(steps))
    d_query_features, d_key_features = back["d_query"], back["d_key"]
    d_value_and_one, d_both_states = back["d_value"], back["d_state"]
    d_query = elu_plus_one_backward(d_query_features, query)["d_x"]
    d_key = elu_plus_one_backward(d_key_features, key)["d_x"]
    d_value = d_value_and_one.moved(lambda a: a[..., :-1])
    d_state = d_both_states.moved(lambda a: a[..., :-1])
    d_normaliser = d_both_states.moved(lambda a: a[..., -1])
    return locals()


def chunkwise_kernel_attention(query, key, value, state, normaliser, chunk):
    steps = in_features(query, key, value, state, normaliser)
    inner = chunkwise_linear_attention(*sums_of(steps), chunk)
    sums, left = inner["context"], inner["new_state"]
    return steps | divided(sums, left)
