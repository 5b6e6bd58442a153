import numpy as np

from parity_tests.bounds.gradients import (
    along_paths,
    softmax_gradient,
    total_of_texts,
    transposed,
)
from parity_tests.bounds.rounding import (
    apply,
    distribution,
    like,
    product,
    weighted_mean,
)

from ..multi_head import merge_heads, split_heads
from ..numbers import joined, parameters
from .projection import projection, projection_backward
from .rms_norm import rms_norm, rms_norm_backward
from .rotary import rotary_neighbours, rotary_neighbours_backward


def compression(x, params, epsilon):
    compressed = projection(x, params.down)["y"]
    latent = rms_norm(compressed, params.norm, epsilon)["y"]
    return locals()


def compression_backward(d_latent, x, params, epsilon):
    compressed = projection(x, params.down)["y"]
    of_norm = rms_norm_backward(d_latent, compressed, params.norm, epsilon)
    d_compressed = of_norm["d_x"]
    of_down = projection_backward(d_compressed, x, params.down)
    d_x = of_down["d_x"]
    d_params = parameters(
        down=of_down["d_params"], norm=of_norm["d_params"]
    )
    return locals()


def decoupled_scores(similarity, rotary_query, rotary_key, d_head):
    shared_key = for_all_heads(rotary_key)
    rotary_similarity = product(
        "...hqi,...ki->...hqk", rotary_query, rotary_key
    )
    features = d_head + rotary_query.shape[-1]
    root = apply("sqrt", like(similarity, features))
    scores = (similarity + rotary_similarity).over(root)
    return locals()


def decoupled_scores_backward(
    d_scores, similarity, rotary_query, rotary_key, d_head
):
    features = d_head + rotary_query.shape[-1]
    d_similarity = d_scores.over(apply("sqrt", like(d_scores, features)))
    d_rotary_similarity = d_similarity
    d_rotary_query = product(
        "...hqk,...ki->...hqi", d_similarity, rotary_key
    )
    by_head = product("...hqk,...hqi->...hki", d_similarity, rotary_query)
    d_shared_key = over_heads(by_head)
    d_rotary_key = d_shared_key.moved(lambda a: a[..., 0, :, :])
    return locals()


def for_all_heads(a):
    return a.moved(lambda part: part[..., None, :, :])


def over_heads(*paths):
    """The sum over the heads of one or several paths, in any order."""
    last = joined(
        [path.moved(lambda a: np.moveaxis(a, -3, -1)) for path in paths]
    )
    return last.total().moved(lambda a: np.moveaxis(a, -1, -3))


def latent_attention(
    query,
    rotary_query,
    latent,
    rotary_key,
    key_weight,
    value_weight,
    mask,
):
    shared_latent = for_all_heads(latent)
    key = product("...kc,hci->...hki", latent, key_weight)
    value = product("...kc,hcv->...hkv", latent, value_weight)
    similarity = product("...qi,...ki->...qk", query, key)
    scores = decoupled_scores(
        similarity, rotary_query, rotary_key, query.shape[-1]
    )["scores"]
    weights = distribution(scores, mask)
    context = weighted_mean(weights, value)
    return locals()


def latent_attention_backward(
    d_context,
    query,
    rotary_query,
    latent,
    rotary_key,
    key_weight,
    value_weight,
    mask,
):
    steps = latent_attention(
        *(query, rotary_query, latent, rotary_key),
        *(key_weight, value_weight, mask),
    )
    weights, key = steps["weights"], steps["key"]
    d_value = product("...qk,...qv->...kv", weights, d_context)
    d_weights = product("...qv,...kv->...qk", d_context, steps["value"])
    d_scores = softmax_gradient(steps["scores"], mask, d_weights)[
        "d_scores"
    ]
    of_scores = decoupled_scores_backward(
        *(d_scores, steps["similarity"], rotary_query, rotary_key),
        query.shape[-1],
    )
    d_similarity = of_scores["d_similarity"]
    d_query = product("...qk,...ki->...qi", d_similarity, key)
    d_key = product("...qk,...qi->...ki", d_similarity, query)
    d_shared_latent = over_heads(
        product("...hki,hci->...hkc", d_key, key_weight),
        product("...hkv,hcv->...hkc", d_value, value_weight),
    )
    d_latent = d_shared_latent.moved(lambda a: a[..., 0, :, :])
    d_key_weight, d_value_weight = (
        total_of_texts(product("...kc,...hki->...hci", latent, part), 3)
        for part in (d_key, d_value)
    )
    return rotary_gradients(of_scores) | locals()


def rotary_gradients(of_scores):
    return {
        name: of_scores[name] for name in ("d_rotary_query", "d_rotary_key")
    }


def absorbed_latent_attention(
    query,
    rotary_query,
    latent,
    rotary_key,
    key_weight,
    value_weight,
    mask,
):
    shared_latent = for_all_heads(latent)
    absorbed_query = product("...hqi,hci->...hqc", query, key_weight)
    similarity = product("...hqc,...kc->...hqk", absorbed_query, latent)
    scores = decoupled_scores(
        similarity, rotary_query, rotary_key, query.shape[-1]
    )["scores"]
    weights = distribution(scores, mask)
    mean_latent = product("...hqk,...kc->...hqc", weights, latent)
    context = product("...hqc,hcv->...hqv", mean_latent, value_weight)
    return locals()


def absorbed_latent_attention_backward(
    d_context,
    query,
    rotary_query,
    latent,
    rotary_key,
    key_weight,
    value_weight,
    mask,
):
    steps = absorbed_latent_attention(
        *(query, rotary_query, latent, rotary_key),
        *(key_weight, value_weight, mask),
    )
    absorbed_query, weights = steps["absorbed_query"], steps["weights"]
    d_mean_latent = product("...hqv,hcv->...hqc", d_context, value_weight)
    d_weights = product("...hqc,...kc->...hqk", d_mean_latent, latent)
    d_scores = softmax_gradient(steps["scores"], mask, d_weights)[
        "d_scores"
    ]
    of_scores = decoupled_scores_backward(
        *(d_scores, steps["similarity"], rotary_query, rotary_key),
        query.shape[-1],
    )
    d_similarity = of_scores["d_similarity"]
    d_absorbed_query = product("...hqk,...kc->...hqc", d_similarity, latent)
    d_query = product("...hqc,hci->...hqi", d_absorbed_query, key_weight)
    d_shared_latent = over_heads(
        product("...qk,...qc->...kc", d_similarity, absorbed_query),
        product("...qk,...qc->...kc", weights, d_mean_latent),
    )
    d_latent = d_shared_latent.moved(lambda a: a[..., 0, :, :])
    d_key_weight = total_of_texts(
        product("...qc,...qi->...ci", d_absorbed_query, query), 3
    )
    d_value_weight = total_of_texts(
        product("...qc,...qv->...cv", steps["mean_latent"], d_context), 3
    )
    return rotary_gradients(of_scores) | locals()


def multi_head_latent_attention(
    x, query_latent, params, mask, cosine, sine, heads, epsilon
):
    latent = compression(x, params.compression, epsilon)["latent"]
    query, split_rotary_query = (
        split_heads(projection(query_latent, part)["y"], heads)["split"]
        for part in (params.query, params.rotary_query)
    )
    rotary_query = rotary_neighbours(split_rotary_query, cosine, sine)[
        "turned"
    ]
    projected_key = projection(x, params.rotary_key)["y"]
    rotary_key = rotary_neighbours(projected_key, cosine, sine)["turned"]
    key_weight, value_weight = (
        split_heads(transposed(part.weight), heads)["split"]
        for part in (params.key, params.value)
    )
    head_mask = mask[..., None, :, :]
    context = latent_attention(
        *(query, rotary_query, latent, rotary_key),
        *(key_weight, value_weight, head_mask),
    )["context"]
    merged = merge_heads(context)["merged"]
    y = projection(merged, params.output)["y"]
    return locals()


def multi_head_latent_attention_backward(
    d_y, x, query_latent, params, mask, cosine, sine, heads, epsilon
):
    steps = multi_head_latent_attention(
        x, query_latent, params, mask, cosine, sine, heads, epsilon
    )
    outer = projection_backward(d_y, steps["merged"], params.output)
    d_merged = outer["d_x"]
    d_context = split_heads(d_merged, heads)["split"]
    back = latent_attention_backward(
        d_context,
        *(steps["query"], steps["rotary_query"], steps["latent"]),
        *(steps["rotary_key"], steps["key_weight"], steps["value_weight"]),
        steps["head_mask"],
    )
    d_query, d_rotary_query, d_latent, d_rotary_key = (
        back[f"d_{name}"]
        for name in ("query", "rotary_query", "latent", "rotary_key")
    )
    d_key_weight, d_value_weight = (
        back[f"d_{name}"] for name in ("key_weight", "value_weight")
    )
    d_projected_key, d_split_rotary_query = (
        rotary_neighbours_backward(d, d, cosine, sine)["d_x"]
        for d in (d_rotary_key, d_rotary_query)
    )
    of_rotary_key = projection_backward(
        d_projected_key, x, params.rotary_key
    )
    of_latent = compression_backward(
        d_latent, x, params.compression, epsilon
    )
    d_x = along_paths(of_rotary_key["d_x"], of_latent["d_x"])
    of_query, of_rotary_query = (
        projection_backward(merge_heads(d)["merged"], query_latent, part)
        for d, part in (
            (d_query, params.query),
            (d_split_rotary_query, params.rotary_query),
        )
    )
    d_query_latent = along_paths(of_query["d_x"], of_rotary_query["d_x"])
    d_params = parameters(
        query=of_query["d_params"],
        rotary_query=of_rotary_query["d_params"],
        compression=of_latent["d_params"],
        rotary_key=of_rotary_key["d_params"],
        key=weights_of(d_key_weight),
        value=weights_of(d_value_weight),
        output=outer["d_params"],
    )
    return locals()


def weights_of(by_head):
    return parameters(weight=transposed(merge_heads(by_head)["merged"]))
