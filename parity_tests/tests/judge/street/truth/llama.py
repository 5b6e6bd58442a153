"""Steps of a Llama, by PyTorch's own functions and by complex numbers."""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn.functional import linear, rms_norm, silu

from parity_tests.tests.judge.street.truth import Check, Pairs
from parity_tests.tests.judge.street.truth.formula import built, uniform

WIDTH, INNER, TOKENS, EPS = 6, 8, 5, 1e-2


# --- RMSNorm and SwiGLU --------------------------------------------------


def norm(name: str, added: float = 0.0) -> Check:
    """A class of a width and an epsilon, with one weight."""

    def check(module) -> Pairs:
        layer, x = built(getattr(module, name)(WIDTH, EPS)), uniform(2, 6)
        (weight,) = layer.parameters()
        yield layer(x), rms_norm(x, (WIDTH,), weight + added, EPS)

    return check


def norm_of_numpy(module) -> Pairs:
    x, weight = uniform(2, WIDTH), uniform(WIDTH)
    got = torch.as_tensor(module.rmsnorm(x.numpy(), weight.numpy(), EPS))
    yield got, rms_norm(x, (WIDTH,), weight, EPS)


def gated(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    return linear(silu(linear(x, gate)) * linear(x, up), down)


def gated_layer(make: Callable, names: str) -> Check:
    """`names` are of the gate, of what is gated, and of the way back; or
    of the first two in one and of the last."""

    def check(module) -> Pairs:
        layer, x = built(make(module)), uniform(2, WIDTH)
        layers = [layer.get_submodule(name) for name in names.split()]
        *first, down = (each.weight for each in layers)
        gate, up = first if len(first) == 2 else first[0].chunk(2)
        yield layer(x), gated(x, gate, up, down)

    return check


def gated_numpy(module) -> Pairs:
    layer, x = module.SwiGLU(WIDTH, INNER), uniform(2, WIDTH)
    matrices = layer.W_gate, layer.W_up, layer.W_down
    turned = [torch.as_tensor(matrix).T for matrix in matrices]
    yield torch.as_tensor(layer.forward(x.numpy())), gated(x, *turned)


class Sizes(SimpleNamespace):
    """Sizes as attributes and as entries."""

    def __getitem__(self, name: str):
        return vars(self)[name]


SIZES = Sizes(
    hidden_size=WIDTH,
    intermediate_size=INNER,
    emb_dim=WIDTH,
    hidden_dim=INNER,
    dtype=torch.float64,
)


# --- rotary positions ----------------------------------------------------


def turning(places: Tensor, width: int, base: float = 10_000.0) -> Tensor:
    """A complex number of length 1 for each position and pair."""
    powers = torch.arange(0, width, 2, dtype=torch.float64) / width
    angles = torch.outer(places.double(), base**-powers)
    return torch.polar(torch.ones_like(angles), angles)


def in_halves(x: Tensor, turn: Tensor) -> Tensor:
    pairs = torch.complex(*x.chunk(2, dim=-1)) * turn
    return torch.cat([pairs.real, pairs.imag], dim=-1)


def in_neighbours(x: Tensor, turn: Tensor) -> Tensor:
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2))) * turn
    return torch.view_as_real(pairs).flatten(-2)


def heads_and_tokens() -> Tensor:
    return uniform(2, 3, TOKENS, WIDTH)


PLACES = torch.arange(3, 3 + TOKENS)


def with_an_offset(module) -> Pairs:
    q, k = heads_and_tokens(), heads_and_tokens()
    turn = turning(torch.arange(9), WIDTH)
    table = [part.tile(1, 2)[None, None] for part in (turn.real, turn.imag)]
    got = module.apply_rotary_pos_emb(q, k, *table, offset=3)
    for own, x in zip(got, (q, k), strict=True):
        yield own, in_halves(x, turn[3 : 3 + TOKENS])


def of_positions(module) -> Pairs:
    x, turn = heads_and_tokens(), turning(PLACES, WIDTH)
    got = module.rope(x.numpy(), PLACES.numpy())
    yield torch.as_tensor(got), in_neighbours(x, turn)


def from_the_first(module) -> Pairs:
    x = heads_and_tokens()
    turn = turning(torch.arange(TOKENS), WIDTH)
    yield module.RotaryEmbedding(WIDTH)(x), in_halves(x, turn)


def of_token_positions(module) -> Pairs:
    layer = module.RotaryPositionalEmbedding(10_000.0, WIDTH, 9)
    x, turn = heads_and_tokens(), turning(PLACES, WIDTH)
    yield layer(x, PLACES), in_neighbours(x, turn)


def by_a_table(module) -> Pairs:
    x, turn = uniform(2, TOKENS, 3, WIDTH), turning(PLACES, WIDTH)
    got = module.apply_rope(x, turn.real, turn.imag)
    yield got, in_halves(x, turn[:, None])


def of_queries_and_keys(module) -> Pairs:
    q, k = (uniform(2, TOKENS, heads, WIDTH) for heads in (3, 1))
    turn = turning(PLACES, WIDTH, 500_000.0)[:, None]
    got = module.RoPE(WIDTH)(q, k, PLACES)
    for own, x in zip(got, (q, k), strict=True):
        yield own, in_halves(x, turn)


# --- key heads, and caches -----------------------------------------------


def repeated(axis: int) -> Check:
    """Along the axis of heads."""

    def check(module) -> Pairs:
        x = uniform(2, 3, 4, 5)
        wanted = x.repeat_interleave(2, dim=axis)
        yield module.repeat_kv(x, 2), wanted

    return check


def cache(put: Callable, layers: int = 1, axis: int = 2) -> Check:
    """Of a class `KVCache` or `DynamicCache`: two texts, with a reset
    between them, if it has one."""

    def check(module) -> Pairs:
        kind = getattr(module, "KVCache", None) or module.DynamicCache
        kept = kind(2, 9, 3, 4) if axis == 1 else kind()
        for _ in range(1 + hasattr(kept, "reset")):
            whole: dict = {}
            for tokens, layer in ((2, 0), (1, layers - 1), (3, 0)):
                shape = [2, 3, 4]
                shape.insert(axis, tokens)
                new = [uniform(*shape).float() for _ in "kv"]
                old = whole.get(layer, [part[:0] for part in new])
                whole[layer] = [
                    torch.cat([a, b], dim=axis) if len(a) else b
                    for a, b in zip(old, new, strict=True)
                ]
                begin = whole[layer][0].shape[axis] - tokens
                got = put(kept, *new, layer, begin)
                yield from zip(got, whole[layer], strict=True)
            if hasattr(kept, "reset"):
                kept.reset()

    return check


def joined(kept, k, v, layer, begin):
    return kept.update(k, v)


def of_a_layer(kept, k, v, layer, begin):
    return kept.update(k, v, layer)


def written(kept, k, v, layer, begin):
    got = kept.update(k.numpy(), v.numpy(), begin)
    return map(torch.as_tensor, got)


def put_and_got(kept, k, v, layer, begin):
    kept.append(k, v)
    return kept.get()


LLAMA: dict[str, Check] = {
    "rms_norm_scaled": norm("RMSNorm"),
    "rms_norm_plus_one": norm("GemmaRMSNorm", added=1.0),
    "rms_norm_centred": norm("RMSNorm"),
    "rms_norm_of_sums": norm_of_numpy,
    "feed_forward_of_three": gated_layer(
        lambda m: m.FeedForward(SIZES), "fc1 fc2 fc3"
    ),
    "mlp_gate_on_up": gated_layer(
        lambda m: m.LlamaMLP(SIZES), "gate_proj up_proj down_proj"
    ),
    "swiglu_joined": gated_layer(lambda m: m.SwiGLU(WIDTH), "w12 w3"),
    "swiglu_sigmoid_only": gated_numpy,
    "rope_with_an_offset": with_an_offset,
    "rope_of_positions": of_positions,
    "rope_angles_of_other_pairs": from_the_first,
    "rope_exponent_halved": of_token_positions,
    "rope_backwards": by_a_table,
    "rope_of_a_table_inside": of_queries_and_keys,
    "repeat_kv_expanded": repeated(2),
    "repeat_kv_in_turn": repeated(1),
    "kv_cache_joined": cache(joined),
    "kv_cache_of_layers": cache(of_a_layer, layers=2),
    "kv_cache_with_room": cache(written, axis=1),
    "kv_cache_never_emptied": cache(put_and_got),
    "kv_cache_of_one_layer": cache(of_a_layer, layers=2),
}
