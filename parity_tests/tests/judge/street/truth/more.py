"""What was met later: caches, asked call by call, and masks of heads."""

from collections.abc import Callable
from itertools import accumulate, product
from types import SimpleNamespace
from unittest import mock

import torch
from torch import Tensor
from torch.nn.functional import group_norm, linear

from parity_tests.tests.judge.street.truth import Check, Pairs
from parity_tests.tests.judge.street.truth.classes import (
    BATCH,
    CONTEXT,
    HEADS,
    TOKENS,
    WIDTH,
    head_of_globals,
    identity,
    keys_mask,
    masked,
    numpy_layer,
    numpy_projections,
    of_joined_tokens,
    of_library,
    of_three,
    of_tokens,
    pairs_mask,
    three,
    tokens,
)
from parity_tests.tests.judge.street.truth.formula import (
    built,
    dot_product,
    multi_head,
    past,
    some,
    uniform,
)
from parity_tests.tests.judge.street.truth.functions import (
    asks,
    first,
    plain,
    three_matrices,
)

# How many tokens are new, call by call.
PARTS = (3, 2, 1, 1), (1,) * TOKENS, (TOKENS,)


def in_parts(ask: Callable, whole: Tensor, arrays, parts) -> Pairs:
    """`ask(kept, begin, *new)` returns an output and what it keeps; the
    arrays have their tokens along the axis before the last."""
    for counts in parts:
        kept = None
        for end, count in zip(accumulate(counts), counts, strict=True):
            part = slice(end - count, end)
            new = [array[..., part, :] for array in arrays]
            got, kept = ask(kept, end - count, *new)
            yield got, whole[..., part, :]


def with_cache(make, names: str, ask: Callable, parts=PARTS) -> Check:
    """Causal attention; `names` are of its q, k, v and output layers, or
    of one for all three and of the output."""

    def check(module) -> Pairs:
        layer, x = built(make(module)), tokens()[:, : sum(parts[0])]
        *layers, out = (layer.get_submodule(n) for n in names.split())
        projected = [part(x) for part in layers]
        if len(layers) == 1:
            projected = projected[0].chunk(3, dim=-1)
        seen = past(x.shape[1], x.shape[1])
        whole = out(multi_head(*projected, HEADS, seen))
        yield from in_parts(
            lambda *call: ask(layer, *call), whole, [x], parts
        )

    return check


def handed_on(layer, kept, begin: int, x: Tensor) -> tuple:
    """The layer returns its output, and what it takes the next time."""
    return layer(x) if kept is None else layer(x, kept)


def handed_on_where_wanted(layer, kept, begin: int, x: Tensor) -> tuple:
    return layer(x, past=kept, use_cache=True)


def at_a_position(layer, kept, begin: int, x: Tensor) -> tuple:
    return layer(x, begin), None


def kept_inside(layer, kept, begin: int, x: Tensor) -> tuple:
    if begin == 0:
        layer.reset_cache()
    return layer(x, use_cache=True), None


def past_and_use_cache(module) -> Pairs:
    def make(m):
        return m.CausalSelfAttention(WIDTH, HEADS)

    names = "W_q W_k W_v W_o"
    yield from of_tokens(make, names, causal=True)(module)
    yield from with_cache(make, names, handed_on_where_wanted)(module)


def numpy_with_cache(module) -> Pairs:
    x, matrices = tokens(), [uniform(WIDTH, 5) for _ in range(3)]
    seen = past(TOKENS, TOKENS)
    whole = dot_product(*(x @ matrix for matrix in matrices), seen)

    def ask(kept, begin, x):
        arrays = [array.numpy() for array in (x, *matrices)]
        got, _, kept = module.causal_self_attention(*arrays, kept)
        return torch.as_tensor(got), kept

    yield from in_parts(ask, whole, [x], PARTS)


def of_three_with_cache(module) -> Pairs:
    q, k, v = (uniform(2, 3, TOKENS, width) for width in (6, 6, 4))
    whole = dot_product(q, k, v, past(TOKENS, TOKENS))

    def ask(kept, begin, *new):
        got, *kept = module.attention(*new, *(kept or ()))
        return got, kept

    yield from in_parts(ask, whole, [q, k, v], PARTS)


class Kept:
    """A cache that joins what is new to what it has."""

    def __init__(self):
        self.arrays: list[Tensor] = []

    def update(self, *new: Tensor) -> list[Tensor]:
        pairs = zip(
            self.arrays or [x[:, :0] for x in new], new, strict=True
        )
        self.arrays = [torch.cat(pair, dim=1) for pair in pairs]
        return self.arrays


def cache_that_updates(module) -> Pairs:
    """Token by token: each sees all that came before."""
    layer, x = built(module.SelfAttention(WIDTH)), tokens()
    projected = layer.q_proj(x), layer.k_proj(x), layer.v_proj(x)
    yield layer(x), dot_product(*projected)
    whole = dot_product(*projected, past(TOKENS, TOKENS))

    def ask(kept, begin, x):
        kept = kept or Kept()
        return layer(x, kept), kept

    yield from in_parts(ask, whole, [x], [(1,) * TOKENS])


def masks_of_texts(module) -> Pairs:
    layer, x = built(module.MultiHeadAttention(WIDTH, HEADS)), tokens()
    qkv = layer.to_q(x), layer.to_k(x), layer.to_v(x)
    for seen in (None, some(BATCH, TOKENS, TOKENS)):
        yield layer(x, seen), layer.to_out(multi_head(*qkv, HEADS, seen))


def numpy_with_backward(make, names: str, held: str = "") -> Check:
    """A layer of NumPy, and the gradient of its tokens by autograd; its
    matrices may be `held` by objects, under that name."""

    def check(module) -> Pairs:
        layer = make(module)
        x, upstream = tokens().requires_grad_(), tokens()
        parts = [getattr(layer, name) for name in names.split()]
        parts = [getattr(part, held, part) for part in parts]
        qkv = (numpy_layer(part, x) for part in parts[:3])
        output = numpy_layer(parts[3], multi_head(*qkv, HEADS))
        yield torch.as_tensor(layer.forward(x.detach().numpy())), output
        (gradient,) = torch.autograd.grad(output, x, upstream)
        yield torch.as_tensor(layer.backward(upstream.numpy())), gradient

    return check


def numpy_heads(axes: int) -> Check:
    return numpy_projections(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS),
        "W_Q W_K W_V W_O",
        HEADS,
        axes,
    )


def hidden_in_turn(layer, query, key, value, seen):
    """Values come first, and True hides a key, beside an axis of heads."""
    hidden = None if seen is None else ~seen[:, None]
    return layer(value, key, query, hidden)


def matrices_of_heads(module) -> Pairs:
    """A matrix for each head, of the output too."""
    layer = built(module.MultiHeadAttention(HEADS, 7, embed_dim=WIDTH))
    x = tokens(7)
    qkv = (layer.W_query, layer.W_key, layer.W_value)
    for seen in (None, some(BATCH, TOKENS, TOKENS)):
        hidden = None if seen is None else ~seen
        heads = [
            dot_product(*(x @ part[head] for part in qkv), seen)
            @ layer.W_out[head]
            for head in range(HEADS)
        ]
        yield layer(x, mask=hidden), sum(heads)


def images(make, names: str, heads: int, groups: int, eps: float) -> Check:
    """A group norm, attention over positions, and a residual."""

    def check(module) -> Pairs:
        layer, x = built(make(module)), uniform(BATCH, 64, 3, 2)
        norm = layer.norm.weight, layer.norm.bias, eps
        normed = group_norm(x, groups, *norm)
        *layers, out = (layer.get_submodule(n) for n in names.split())
        projected = [part(normed).flatten(2).mT for part in layers]
        if len(layers) == 1:
            projected = projected[0].chunk(3, dim=-1)
        context = multi_head(*projected, heads)
        yield layer(x), x + out(context.mT.unflatten(-1, (3, 2)))

    return check


def in_64_bits(check: Check) -> Check:
    """What a file turns to 32 bits stays at 64, so that its digits tell."""

    def checked(module) -> Pairs:
        with mock.patch.object(Tensor, "float", Tensor.double):
            yield from check(module)

    return checked


WIDE, FOUR, D_HEAD = 24, 4, 6  # pairs of features need an even width
RATES = 10_000.0 ** (-torch.arange(0, D_HEAD, 2).double() / D_HEAD)
ANGLES = torch.arange(TOKENS).double()[:, None] * RATES


def turned(x: Tensor, neighbours: bool) -> Tensor:
    """Each pair of features of each head as a complex number, turned by
    the angle of its token."""
    axes = (-1, 2) if neighbours else (2, -1)
    pairs = x.unflatten(-1, (-1, D_HEAD)).unflatten(-1, axes)
    axis = -1 if neighbours else -2
    numbers = torch.complex(*pairs.unbind(axis))
    numbers = numbers * torch.polar(
        torch.ones(()).double(), ANGLES[:, None]
    )
    both = torch.stack([numbers.real, numbers.imag], dim=axis)
    return both.flatten(-3)


def rotary(make, names: str, ask, neighbours=False, causal=False) -> Check:
    """Self-attention of queries and keys that are turned."""

    def check(module) -> Pairs:
        layer, x = built(make(module)), tokens(WIDE)
        *layers, out = (layer.get_submodule(n) for n in names.split())
        q, k, v = (part(x) for part in layers)
        q, k = turned(q, neighbours), turned(k, neighbours)
        seen = past(TOKENS, TOKENS) if causal else None
        yield ask(layer, x), out(multi_head(q, k, v, FOUR, seen))

    return check


def function_of_two_masks(module) -> Pairs:
    qkv = [uniform(BATCH, HEADS, TOKENS, 6) for _ in "qkv"]
    real, pairs = some(BATCH, TOKENS), past(TOKENS, TOKENS)
    real[:, 0] = True
    seen = real[:, None, None] & pairs
    got = module.attention(*qkv, real.long(), pairs[None].long())
    yield got, dot_product(*qkv, seen)
    yield module.attention(*qkv), dot_product(*qkv)


def rotary_inside(module) -> Pairs:
    """At once, and call by call with what comes back."""
    layer, x = built(module.GroupedAttention(WIDE, FOUR, 2)), tokens(WIDE)
    q = turned(layer.q_proj(x), neighbours=True)
    k = turned(layer.k_proj(x), neighbours=True)
    seen = past(TOKENS, TOKENS)
    context = multi_head(q, k, layer.v_proj(x), FOUR, seen)
    whole = layer.o_proj(context)
    yield from in_parts(
        lambda kept, begin, x: layer(x, kept), whole, [x], PARTS
    )


def rotary_with_an_object(module) -> Pairs:
    """Every call gets the same object, of the class of its cache."""
    layer, x = built(module.CachedAttention(WIDE, FOUR)), tokens(WIDE)
    q, k, v = layer.wqkv(x).chunk(3, dim=-1)
    q, k = turned(q, neighbours=False), turned(k, neighbours=False)
    whole = layer.wo(multi_head(q, k, v, FOUR, past(TOKENS, TOKENS)))

    def ask(kept, begin, x):
        kept = module.LayerCache() if kept is None else kept
        return layer(x, kept), kept

    yield layer(x), whole
    yield from in_parts(ask, whole, [x], PARTS)


def rotary_from_the_first(module) -> Pairs:
    params = {name: uniform(WIDE, WIDE) for name in ("q", "k", "v", "o")}
    x = tokens(WIDE)
    q, k = (turned(x @ params[n], neighbours=False) for n in ("q", "k"))
    seen = past(TOKENS, TOKENS)
    whole = multi_head(q, k, x @ params["v"], FOUR, seen) @ params["o"]
    yield from in_parts(
        lambda kept, begin, x: module.attention(params, x, kept),
        *(whole, [x], PARTS),
    )


def with_complex_table(layer, x: Tensor) -> Tensor:
    return layer(x, torch.polar(torch.ones(()).double(), ANGLES))


def with_cosines_and_sines(layer, x: Tensor) -> Tensor:
    angles = torch.cat([ANGLES, ANGLES], dim=-1)
    return layer(x, angles.cos(), angles.sin())


def nodes_of_graphs(module) -> Pairs:
    """Every node has an edge to itself."""
    layer = built(module.GraphAttentionHeads(WIDTH, 5, HEADS))
    x, edges = tokens(), torch.rand(BATCH, TOKENS, TOKENS) < 0.5
    edges = edges | torch.eye(TOKENS, dtype=torch.bool)
    qkv = layer.query(x), layer.key(x), layer.value(x)
    heads = multi_head(*qkv, HEADS, edges).unflatten(-1, (HEADS, -1))
    yield layer(x, edges.double()), heads


def self_loops_inside(module) -> Pairs:
    """No node need have an edge to itself."""
    layer = built(module.NeighbourAttention(WIDTH, HEADS))
    x, edges = tokens(), torch.rand(BATCH, TOKENS, TOKENS) < 0.5
    near = edges | torch.eye(TOKENS, dtype=torch.bool)
    qkv = layer.to_q(x), layer.to_k(x), layer.to_v(x)
    yield layer(x, edges.double()), multi_head(*qkv, HEADS, near)


def with_its_own_padding(module) -> Pairs:
    """The mask is what the file itself makes of ids."""
    layer, x = built(module.MultiHeadAttention(WIDTH, HEADS)), tokens()
    ids = some(BATCH, TOKENS).long()
    qkv = layer.w_q(x), layer.w_k(x), layer.w_v(x)
    expected = multi_head(*qkv, HEADS, (ids != 0)[:, None])
    yield layer(x, x, x, module.mask_from_ids(ids)), layer.w_o(expected)


def keep_blanks_rows(module) -> Pairs:
    """All was played, or something was skipped; queries are others."""
    layer = built(module.HistoryAttention(WIDTH, HEADS))
    x, keys = tokens(), tokens()
    everything = torch.ones(BATCH, TOKENS, dtype=torch.bool)
    for keep in (everything, some(BATCH, TOKENS)):
        seen = keep[:, None] & past(TOKENS, TOKENS)
        qkv = layer.q(x), layer.k(keys), layer.v(keys)
        context = multi_head(*qkv, HEADS, seen)
        yield layer(x, keys, keep), context * keep[..., None]


def passed_in(module) -> Pairs:
    inner = module._DotProductAttention(mask_flag=True)
    layer = built(module.AttentionLayer(inner, WIDTH, HEADS))
    x, others = tokens(), uniform(BATCH, CONTEXT, WIDTH)
    qkv = (
        layer.to_queries(x),
        layer.to_keys(others),
        layer.to_values(others),
    )
    for seen in (
        torch.ones(BATCH, TOKENS, CONTEXT, dtype=torch.bool),
        some(BATCH, TOKENS, CONTEXT),
    ):
        got = layer(x, others, others, SimpleNamespace(mask=~seen[:, None]))
        yield got, layer.to_out(multi_head(*qkv, HEADS, seen))


def causal_where_none_is_passed(module) -> Pairs:
    layer, x = built(module.SelfAttention(WIDTH)), tokens()
    qkv = layer.query(x), layer.key(x), layer.value(x)
    yield layer(x), dot_product(*qkv, past(TOKENS, TOKENS))
    seen = some(BATCH, TOKENS, TOKENS)
    yield layer(x, seen), dot_product(*qkv, seen)


def causal_without_a_mask_object(module) -> Pairs:
    layer = module.PlainAttention().eval()
    qkv = [uniform(BATCH, HEADS, TOKENS, width) for width in (5, 5, 4)]
    arrays = [array.transpose(1, 2) for array in qkv]
    seen = some(BATCH, 1, TOKENS, TOKENS)
    for mask, allowed in (
        (None, past(TOKENS, TOKENS)),
        (SimpleNamespace(mask=~seen), seen),
    ):
        context, _ = layer(*arrays, mask)
        yield context.transpose(1, 2), dot_product(*qkv, allowed)


def of_a_global_width(module) -> Pairs:
    layer, qkv = module.ScaledDotProduct(), three(module.d_k)
    seen = some(BATCH, TOKENS, CONTEXT)
    yield layer(*qkv, ~seen)[0], dot_product(*qkv, seen)


def of_globals(module) -> Pairs:
    layer = built(module.MultiHeadAttention())
    query, key, value = three(module.model_dim)
    qkv = layer.to_q(query), layer.to_k(key), layer.to_v(value)
    seen = some(BATCH, TOKENS, CONTEXT)
    context = layer.fc(multi_head(*qkv, module.n_heads, seen))
    yield (
        layer(query, key, value, ~seen),
        layer.layer_norm(context + query),
    )


def with_a_bias(module) -> Pairs:
    layer, x = built(module.T5Attention(WIDTH, 5, HEADS)), tokens()
    # What T5 has in its first weights is taken out of the formula.
    qkv = layer.q(x) * 5**0.5, layer.k(x), layer.v(x)
    for words in (None, some(BATCH, TOKENS)):
        bias = uniform(TOKENS, TOKENS)
        added = bias
        if words is not None:
            added = bias.masked_fill(~words[:, None], -torch.inf)
        yield layer(x, bias, words), layer.o(multi_head(*qkv, HEADS, added))


def of_two_masks(module) -> Pairs:
    layer, x = built(module.MultiHeadAttention(WIDTH, HEADS)), tokens()
    qkv = layer.query_layer(x), layer.key_layer(x), layer.value_layer(x)
    real, seen = some(BATCH, TOKENS), some(TOKENS, TOKENS)
    both = real[:, None] & seen
    yield layer(x, x, ~real, ~seen), multi_head(*qkv, HEADS, both)


def padding_hidden(layer, query, key, value, seen):
    """The mask is required, and True where a key is hidden."""
    mask = (
        torch.ones(BATCH, 1, CONTEXT, dtype=bool) if seen is None else seen
    )
    return layer(query, key, value, ~mask)[0]


def unscaled(q: Tensor) -> Tensor:
    """Queries whose scores are, with the scale, what they are without."""
    return q * q.shape[-1] ** 0.5


def in_buckets(module) -> Pairs:
    """As in T5, the scale is in the first weights of the queries."""
    settings = module.T5Settings(WIDTH, 4, HEADS)
    layer, (x, others, _) = built(module.T5Attention(settings)), three()
    q = layer.q(x).unflatten(-1, (HEADS, -1))
    q = unscaled(q).flatten(-2)
    for source, seen in ((x, None), (others, some(BATCH, CONTEXT))):
        pairs = None if seen is None else seen[:, None]
        context = multi_head(
            q, layer.k(source), layer.v(source), HEADS, pairs
        )
        mask = None if seen is None else seen.double()
        yield layer(x, source, mask=mask)[0], layer.o(context)


def image_with_a_gate(module) -> Pairs:
    """As in SAGAN: without a scale, and with a residual."""
    layer, x = built(module.SelfAttention2d(64)), uniform(BATCH, 64, 3, 2)
    q, k, v = (
        part(x).flatten(2).mT
        for part in (layer.query_conv, layer.key_conv, layer.value_conv)
    )
    context = dot_product(unscaled(q), k, v).mT.unflatten(-1, (3, 2))
    yield layer(x)[0], x + layer.gamma * context


def residual_with_a_gate(module) -> Pairs:
    layer, x = built(module.SelfAttention(WIDTH, HEADS)), tokens()
    qkv = layer.query(x), layer.key(x), layer.value(x)
    context = layer.proj(multi_head(*qkv, HEADS))
    yield layer(x), x + layer.alpha * context


def by_distances(rows: int, columns: int, table: Tensor) -> Tensor:
    """The numbers of a table for each query and key of a window, of each
    head: one for so many rows and columns from the key to the query."""
    places = [*product(range(rows), range(columns))]
    bias = [
        [
            table[
                (y - row + rows - 1) * (2 * columns - 1)
                + x
                - column
                + columns
                - 1
            ]
            for row, column in places
        ]
        for y, x in places
    ]
    return torch.stack([torch.stack(row) for row in bias]).permute(2, 0, 1)


def heads_of(x: Tensor, heads: int) -> Tensor:
    return torch.stack(x.chunk(heads, dim=-1), dim=1)


def windows(at_once: bool = False) -> Check:
    """Two windows of each of two images, with masks of their own; masks go
    round the windows, or each is for all windows that stand `at_once`."""

    def check(module) -> Pairs:
        layer = built(module.WindowAttention(WIDTH, (2, 3), HEADS))
        x, seen = uniform(4, 6, WIDTH), some(2, 6, 6)
        q, k, v = layer.qkv(x).chunk(3, dim=-1)
        table = layer.relative_position_bias_table
        bias = by_distances(2, 3, table)
        yield layer(x), layer.proj(in_windows(q, k, v, HEADS, bias))
        mask = torch.zeros(2, 6, 6).double().masked_fill(~seen, -torch.inf)
        of_each = [0, 0, 1, 1] if at_once else [0, 1, 0, 1]
        bias = bias + mask[of_each][:, None]
        output = layer.proj(in_windows(q, k, v, HEADS, bias))
        yield layer(x, mask), output

    return check


def in_windows(q, k, v, heads: int, bias: Tensor) -> Tensor:
    """Attention with numbers that are added to the scores."""
    parts = (heads_of(part, heads) for part in (q, k, v))
    context = dot_product(*parts, bias)
    return torch.cat(context.unbind(1), dim=-1)


def square_windows(module) -> Pairs:
    layer = built(module.WindowAttention(WIDTH, 3, HEADS))
    x = uniform(BATCH, 9, WIDTH)
    bias = by_distances(3, 3, layer.rel_pos_bias.weight)
    qkv = layer.to_qkv(x).chunk(3, dim=-1)
    yield layer(x), layer.to_out(in_windows(*qkv, HEADS, bias))


def learned_temperature(module) -> Pairs:
    """At first the scale is that of a head; then any other."""
    layer, x = module.Attention(WIDTH, HEADS, 4, 0.1), tokens()
    yield layer.temperature, torch.tensor(4**-0.5).log()
    layer = built(layer)
    q, k, v = layer.to_qkv(x).chunk(3, dim=-1)
    q = q * layer.temperature.exp() * 4**0.5
    yield layer(x), layer.to_out(multi_head(q, k, v, HEADS))


def learned_scale(module) -> Pairs:
    """At first the scale is that of a head; then any other."""
    layer, x = module.MultiHeadAttention(WIDTH, HEADS), tokens()
    d_head = WIDTH // HEADS
    yield layer.scale, torch.tensor(d_head**-0.5)
    layer = built(layer)
    q, k, v = layer.q_proj(x), layer.k_proj(x), layer.v_proj(x)
    q = q * layer.scale * d_head**0.5
    seen = some(TOKENS, TOKENS)
    for mask in (None, seen):
        output = layer.out_proj(multi_head(q, k, v, HEADS, mask))
        yield layer(x, mask), output


def time_by_batch(module) -> Pairs:
    layer = built(module.MultiheadAttention(WIDTH, HEADS))
    inputs = [tokens(), *(uniform(BATCH, CONTEXT, WIDTH) for _ in "kv")]
    parts = zip(
        *(layer.in_proj.weight.chunk(3), layer.in_proj.bias.chunk(3)),
        strict=True,
    )
    qkv = [
        x @ weight.mT + bias
        for x, (weight, bias) in zip(inputs, parts, strict=True)
    ]
    real = some(BATCH, CONTEXT)
    turned = [x.transpose(0, 1) for x in inputs]
    for seen, padding in ((None, None), (real[:, None], ~real)):
        got = layer(*turned, key_padding_mask=padding)
        expected = layer.out_proj(multi_head(*qkv, HEADS, seen))
        yield got.transpose(0, 1), expected
    turned = [turned[0]] * 3
    got = layer(*turned, mask_future_steps=True).transpose(0, 1)
    own = layer.in_proj(inputs[0]).chunk(3, dim=-1)
    context = multi_head(*own, HEADS, past(TOKENS, TOKENS))
    yield got, layer.out_proj(context)


def layout_not_told(module) -> Pairs:
    layer, x = built(module.SelfAttention(WIDTH, HEADS)), tokens()
    got = layer(x.transpose(0, 1)).transpose(0, 1)
    yield got, of_library(layer.attend, x, x, x)


def with_a_base(module) -> Pairs:
    layer, x = built(module.CausalAttention(WIDTH, HEADS, 9)), tokens()
    qkv = layer.in_proj(x).chunk(3, dim=-1)
    context = multi_head(*qkv, HEADS, past(TOKENS, TOKENS))
    got = layer(x.transpose(0, 1)).transpose(0, 1)
    yield got, layer.out_proj(context)


def of_padding_and_pairs(make, names: str, ask) -> Check:
    """Neither mask, each alone, and both."""

    def check(module) -> Pairs:
        layer, x = built(make(module)), tokens()
        *layers, out = [layer.get_submodule(n) for n in names.split(" ")]
        out = identity if out is layer else out
        qkv = [part(x) for part in layers]
        real, pairs = some(BATCH, TOKENS), past(TOKENS, TOKENS)
        real[:, 0] = True  # which each query sees
        nothing = torch.ones(1, 1, dtype=torch.bool)
        for padding, ahead in product((None, real), (None, pairs)):
            seen = nothing if padding is None else padding[:, None]
            seen = seen if ahead is None else seen & ahead
            context = multi_head(*qkv, HEADS, seen)
            yield ask(layer, x, padding, ahead), out(context)

    return check


def hidden_by_two(layer, x: Tensor, *masks) -> Tensor:
    return layer(x, *(m if m is None else ~m for m in masks))


def shown_by_two(layer, x: Tensor, *masks) -> Tensor:
    return layer(x, x, x, *(m if m is None else m.long() for m in masks))


def image_of_any_axes(module) -> Pairs:
    """Query, key and value of a head, then those of the next."""
    layer = built(module.PositionsAttention(64, HEADS_OF_64))
    x = uniform(BATCH, 64, 3, 2)
    norm = layer.norm.weight, layer.norm.bias, 1e-5
    projected = layer.qkv(group_norm(x, 8, *norm).flatten(2)).mT
    by_head = projected.unflatten(-1, (HEADS_OF_64, 3, -1))
    qkv = (part.flatten(-2) for part in by_head.unbind(-2))
    out = layer.proj_out(multi_head(*qkv, HEADS_OF_64).mT)
    yield layer(x), x + out.unflatten(-1, (3, 2))


def keys_and_values_in_one(module) -> Pairs:
    """Two key heads, each for two query heads."""
    layer = built(module.SharedKeysAttention(WIDE, FOUR, 2))
    x = tokens(WIDE)
    k, v = layer.to_kv(x).chunk(2, dim=-1)
    yield layer(x), layer.to_out(multi_head(layer.to_q(x), k, v, FOUR))


def all_in_one(module) -> Pairs:
    """Four query heads, and two heads of keys and values, in one layer."""
    layer, x = built(module.GroupedAttention(WIDE, FOUR, 2)), tokens(WIDE)
    q, k, v = layer.qkv(x).split([WIDE, WIDE // 2, WIDE // 2], dim=-1)
    seen = past(TOKENS, TOKENS)
    yield layer(x), layer.proj(multi_head(q, k, v, FOUR, seen))


def values_before_keys(module) -> Pairs:
    layer = built(module.MultiHeadSelfAttention(WIDTH, HEADS))
    x, words = tokens(), some(BATCH, TOKENS)
    q, v, k = layer.qvk(x).chunk(3, dim=-1)
    for keep, seen in ((None, None), (words.double(), words[:, None])):
        output = layer.mix_out(multi_head(q, k, v, HEADS, seen))
        yield layer(x, keep), output


def layers_as_arguments(module) -> Pairs:
    """Keys and values in one layer, queries in another."""
    x, biases = tokens(), [uniform(n * WIDTH) for n in (2, 1, 1)]
    kv, q, out = (
        layer
        for bias in biases
        for layer in [(uniform(len(bias), WIDTH), bias)]
    )
    keys, values = linear(x, *kv).chunk(2, dim=-1)
    context = multi_head(linear(x, *q), keys, values, HEADS)
    got = module.multi_head_attention(x, *kv, *q, *out, n_head=HEADS)
    yield got, linear(context, *out)


def missing_readings(module) -> Pairs:
    x, joined = tokens(), uniform(3 * WIDTH, WIDTH)
    bias, out = uniform(3 * WIDTH), uniform(WIDTH, WIDTH)
    qkv = linear(x, joined, bias).chunk(3, dim=-1)
    for there in (None, some(BATCH, TOKENS)):
        seen = None if there is None else there[:, None]
        missing = None if there is None else (~there).double()
        got = module.self_attention(
            x, joined, bias, out, num_heads=HEADS, missing=missing
        )
        yield got, linear(multi_head(*qkv, HEADS, seen), out)


def german_heads(module) -> Pairs:
    layer, x = built(module.Aufmerksamkeit(WIDTH, HEADS, 9)), tokens()
    seen = past(TOKENS, TOKENS)
    heads = [
        dot_product(head.anfrage(x), head.schluessel(x), head.wert(x), seen)
        for head in layer.köpfe
    ]
    yield layer(x), layer.ausgabe(torch.cat(heads, dim=-1))


HEADS_OF_64 = 4
OF_A_MODEL = {
    "hidden_size": WIDE,
    "num_attention_heads": FOUR,
    "angle_base": 10_000.0,
}
MORE: dict[str, Check] = {
    **dict.fromkeys(
        ("base_that_hands_on", "base_that_hands_on_wrong_scale"),
        numpy_projections(
            lambda m: m.SelfAttention(WIDTH, HEADS), "Wq Wk Wv Wo", HEADS, 3
        ),
    ),
    "tou_wrong_scale": numpy_projections(
        lambda m: m.DuoTouZhuyili(WIDTH, HEADS),
        "w_chaxun w_jian w_zhi w_shuchu",
        HEADS,
        axes=3,
    ),
    "cabezas_sin_transponer": of_three(
        lambda m: m.AtencionMultiCabeza(WIDTH, HEADS),
        "capa_consulta capa_clave capa_valor salida",
        masked,
        pairs_mask,
    ),
    "modul_pro_kopf": german_heads,
    "matrices_of_linear": layers_as_arguments,
    "missing_readings_wrong_scale": missing_readings,
    "sums_of_rows_on_columns": three_matrices(plain("self_attention")),
    "heads_with_sums_on_columns": numpy_projections(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS),
        "W_q W_k W_v W_o",
        HEADS,
        axes=2,
    ),
    **dict.fromkeys(
        ("values_before_keys", "values_before_keys_wrong_merge"),
        values_before_keys,
    ),
    "rotary_base_under_the_guard": rotary(
        lambda m: m.TurningAttention(SimpleNamespace(**OF_A_MODEL)),
        "q_proj k_proj v_proj o_proj",
        lambda layer, x: layer(x),
    ),
    "rotary_angles_of_other_pairs": rotary(
        lambda m: m.TurningAttention(OF_A_MODEL),
        "q_proj k_proj v_proj o_proj",
        lambda layer, x: layer(x),
    ),
    "options_of_a_command": of_joined_tokens(
        lambda m: m.SelfAttention(
            SimpleNamespace(n_embd=WIDTH, n_head=HEADS, first_spread=1.0)
        ),
        "to_qkv to_out",
    ),
    **dict.fromkeys(
        ("image_norm_in_float32", "image_norm_in_float32_wrong_scale"),
        in_64_bits(
            images(
                lambda m: m.PlacesAttention(64, 4),
                "qkv proj_out",
                4,
                8,
                1e-5,
            )
        ),
    ),
    **dict.fromkeys(
        ("short_names_of_key_heads", "short_names_of_key_heads_in_turn"),
        keys_and_values_in_one,
    ),
    **dict.fromkeys(
        ("grouped_heads_in_one_layer", "grouped_values_in_turn"), all_in_one
    ),
    "groups_beside_heads_in_turn": of_tokens(
        lambda m: m.GroupedQueries(WIDE, FOUR, 2),
        "q k v o",
        FOUR,
        width=WIDE,
    ),
    **dict.fromkeys(
        ("bias_beside_a_mask", "bias_and_the_wrong_axis"), with_a_bias
    ),
    **dict.fromkeys(
        ("default_mask_object", "default_mask_object_late"),
        causal_without_a_mask_object,
    ),
    **dict.fromkeys(
        ("global_width", "global_width_without_root"), of_a_global_width
    ),
    **dict.fromkeys(
        (
            "everything_from_globals",
            "everything_from_globals_wrong_scale",
        ),
        of_globals,
    ),
    **dict.fromkeys(
        ("config_that_requires", "config_that_requires_wrong_scale"),
        of_tokens(
            lambda m: m.CausalSelfAttention(
                m.ModelConfig(9, TOKENS, n_embd=WIDTH, n_head=HEADS)
            ),
            "query key value out",
            causal=True,
        ),
    ),
    **dict.fromkeys(
        ("config_of_entries", "config_of_entries_mask_too_late"),
        of_three(
            lambda m: m.MultiHeadAttention(
                m.Config(d_hidn=WIDTH, n_head=HEADS, d_head=4, dropout=0.1)
            ),
            "W_Q W_K W_V linear",
            padding_hidden,
            keys_mask,
        ),
    ),
    **dict.fromkeys(("t5_sizes", "t5_sizes_and_a_copied_line"), in_buckets),
    **dict.fromkeys(
        (
            *("windows", "windows_wrong_scale", "windows_wrong_merge"),
            *("windows_bias_too_late", "windows_mask_lost"),
        ),
        windows(),
    ),
    "windows_masks_in_another_order": windows(at_once=True),
    "windows_of_one_number": square_windows,
    "learned_temperature": learned_temperature,
    **dict.fromkeys(
        (
            *("learned_scale", "learned_scale_of_the_model"),
            "learned_scale_wrong_axis",
        ),
        learned_scale,
    ),
    **dict.fromkeys(
        ("image_gate", "image_gate_transposed"), image_with_a_gate
    ),
    **dict.fromkeys(
        ("gate_without_axes", "gate_without_axes_wrong_axis"),
        residual_with_a_gate,
    ),
    **dict.fromkeys(
        ("numpy_gradients_beside", "numpy_gradients_beside_wrong_scale"),
        numpy_with_backward(
            lambda m: m.MultiHeadAttention(WIDTH, HEADS), "wq wk wv wo"
        ),
    ),
    "numpy_tensors_with_gradients": numpy_with_backward(
        lambda m: m.SelfAttention(WIDTH, HEADS),
        "query key value output",
        held="data",
    ),
    "numpy_one_letter_records": numpy_with_backward(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS),
        "Wq Wk Wv Wo",
        held="v",
    ),
    **dict.fromkeys(
        ("image_of_any_axes", "image_of_any_axes_wrong_scale"),
        image_of_any_axes,
    ),
    "padding_shown_of_two_masks": of_padding_and_pairs(
        lambda m: m.ItemsAttention(WIDTH, HEADS, 0.1),
        "to_q to_k to_v ",
        hidden_by_two,
    ),
    "padding_on_queries_of_two_masks": of_padding_and_pairs(
        lambda m: m.MultiHeadedAttention(HEADS, WIDTH),
        "query key value out",
        shown_by_two,
    ),
    **dict.fromkeys(
        ("rotary_inside", "rotary_inside_groups_in_turn"), rotary_inside
    ),
    **dict.fromkeys(
        ("cache_object", "cache_object_turned_anew"), rotary_with_an_object
    ),
    "rotary_from_the_first": rotary_from_the_first,
    **dict.fromkeys(
        ("time_by_batch", "time_by_batch_keeps_padding"), time_by_batch
    ),
    "padding_on_queries_of_a_function": function_of_two_masks,
    "layout_not_told": layout_not_told,
    "mask_of_ones_of_a_base": with_a_base,
    **dict.fromkeys(
        ("two_masks_required", "two_masks_in_another_order"),
        of_two_masks,
    ),
    **dict.fromkeys(
        ("layer_causal_by_default", "layer_causal_by_default_lost"),
        causal_where_none_is_passed,
    ),
    **dict.fromkeys(
        ("sizes_of_a_base", "sizes_of_a_base_wrong_merge"),
        of_tokens(
            lambda m: m.CausalSelfAttention(
                SimpleNamespace(
                    decoder_embed_dim=WIDTH, decoder_attention_heads=HEADS
                )
            ),
            "to_query to_key to_value to_out",
            causal=True,
        ),
    ),
    **dict.fromkeys(
        (
            *("attention_passed_in", "attention_passed_in_wrong_scale"),
            "mask_object_without_effect",
        ),
        passed_in,
    ),
    **dict.fromkeys(
        ("adjacency", "adjacency_after_the_softmax"), nodes_of_graphs
    ),
    **dict.fromkeys(
        ("self_loops_inside", "self_loops_against_the_edges"),
        self_loops_inside,
    ),
    **dict.fromkeys(
        ("keep_blanks_its_rows", "keep_blanks_wrong_scale"),
        keep_blanks_rows,
    ),
    **dict.fromkeys(
        ("mask_by_its_maker", "mask_against_its_maker"),
        with_its_own_padding,
    ),
    **dict.fromkeys(
        ("rotary_complex", "rotary_queries_only"),
        rotary(
            lambda m: m.CausalSelfAttention(WIDE, FOUR, 2),
            "wq wk wv wo",
            with_complex_table,
            neighbours=True,
            causal=True,
        ),
    ),
    **dict.fromkeys(
        ("rotary_cosines_and_sines", "rotary_values_too"),
        rotary(
            lambda m: m.MultiHeadAttention(WIDE, FOUR),
            "q_proj k_proj v_proj o_proj",
            with_cosines_and_sines,
        ),
    ),
    **dict.fromkeys(
        ("image_group_norm", "image_values_over_queries"),
        images(lambda m: m.AttnBlock(64), "q k v proj_out", 1, 32, 1e-6),
    ),
    **dict.fromkeys(
        ("image_heads_and_groups", "image_heads_wrong_scale"),
        images(lambda m: m.AttentionBlock(64), "qkv to_out", 4, 8, 1e-5),
    ),
    **dict.fromkeys(
        ("sizes_of_a_mangled_name", "mangled_name_wrong_scale"),
        of_three(
            lambda m: m.MHA(
                SimpleNamespace(
                    HIDDEN_SIZE=WIDTH,
                    MULTI_HEAD=HEADS,
                    HIDDEN_SIZE_HEAD=WIDTH // HEADS,
                    DROPOUT_R=0.1,
                )
            ),
            "to_q to_k to_v merge",
            hidden_in_turn,
            keys_mask,
        ),
    ),
    **dict.fromkeys(
        ("args_with_a_prefix", "args_and_a_copied_line"),
        of_tokens(
            lambda m: m.CausalSelfAttention(
                SimpleNamespace(
                    attn_embed_dim=WIDTH,
                    attn_n_heads=HEADS,
                    attn_drop_rate=0.1,
                )
            ),
            "q_proj k_proj v_proj out_proj",
            causal=True,
        ),
    ),
    "slopes_that_nothing_uses": of_joined_tokens(
        lambda m: m.LinearBiasAttention(WIDTH, HEADS),
        "to_qkv to_out",
        causal=True,
    ),
    "entries_of_an_unknown": of_joined_tokens(
        lambda m: m.SelfAttention(
            {"encoder_hidden_dim": WIDTH, "encoder_num_heads": HEADS}
        ),
        "qkv proj",
    ),
    **dict.fromkeys(
        ("one_width_of_two", "one_width_of_two_wrong_axis"),
        matrices_of_heads,
    ),
    **dict.fromkeys(
        (
            *("past_and_use_cache", "past_without_offset"),
            *("past_behind_the_new", "past_not_looked_at"),
        ),
        past_and_use_cache,
    ),
    "past_along_the_texts": with_cache(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS),
        "query key value out",
        handed_on,
        [(3, 3)],  # of other parts, cat makes nothing
    ),
    "cache_before_the_heads": with_cache(
        lambda m: m.MultiHeadAttention(WIDTH, HEADS),
        "query key value out",
        handed_on,
    ),
    "layer_past_and_present": with_cache(
        lambda m: m.Attention(WIDTH, HEADS), "c_attn c_proj", handed_on
    ),
    "start_pos_and_buffers": with_cache(
        lambda m: m.CausalAttention(WIDTH, HEADS, 4, 9),
        "wq wk wv wo",
        at_a_position,
    ),
    **dict.fromkeys(
        ("kept_and_reset", "kept_and_not_counted"),
        with_cache(
            lambda m: m.MultiHeadAttention(WIDTH, WIDTH, 9, 0.1, HEADS),
            "W_query W_key W_value out_proj",
            kept_inside,
        ),
    ),
    **dict.fromkeys(
        ("cache_of_numpy", "keys_before_values_after"), numpy_with_cache
    ),
    **dict.fromkeys(
        ("past_keys_and_values", "past_keys_from_the_first"),
        of_three_with_cache,
    ),
    "cache_that_updates": cache_that_updates,
    **dict.fromkeys(
        ("heads_of_the_batch", "heads_before_the_texts"), masks_of_texts
    ),
    "head_scaled_by_the_model": head_of_globals("Head", "n_embd"),
    **dict.fromkeys(
        (
            "numpy_backward",
            "numpy_backward_like_a_sigmoid",
            "numpy_backward_without_scale",
        ),
        numpy_with_backward(
            lambda m: m.MultiHeadSelfAttention(WIDTH, HEADS),
            "to_q to_k to_v to_out",
        ),
    ),
    "numpy_split_by_reshape": numpy_heads(3),
    "numpy_never_transposed": numpy_heads(3),
    "numpy_one_text_reshaped": numpy_heads(2),
    "scaled_by_the_tokens": asks(
        3, first("scaled_dot_product_attention"), mask="pairs"
    ),
    "layer_scaled_by_the_tokens": of_tokens(
        lambda m: m.SelfAttention(WIDTH, 5),
        "W_query W_key W_value",
        heads=1,
    ),
}
