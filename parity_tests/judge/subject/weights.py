"""The weights of a layer of attention, and how they are read.

Which array is for what is told by names, in any of the usual spellings;
where names do not tell, each assignment is tried, and the one that gives
the layer's own numbers is taken. A `Recipe` says which; `weights` follows
it. Each layer becomes a matrix with a row for each output feature, and a
bias.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations, product
from math import prod

import numpy as np

from parity_tests.judge.candidate.host import CONVOLUTIONS

from .beside import TABLE, Buckets, Distances, LearnedScale
from .languages import in_english
from .latents import Latent, LatentTokens, latents_of, up_of
from .qk_norms import (
    GAIN,
    SHIFT,
    Layer,
    NormsOfHeads,
    QKNorm,
    qk_norms_of,
)
from .roles import kind_of
from .rotary import Turn
from .variants import Variant

END = (
    r"(_?(proj|projections?|projector|linear|lin|layer|weights?|matrix|mat|"
    r"w|fc|net|dense|transform|embed|map|conv(olution)?[123]?d?))?s?"
)
QKV = ("query", "key", "value")
BEGIN = (
    r"(to_?|fc_?|linear_?|lin_?|proj_?|w_?|mat_?|dense_?|attn_?|c_?|"
    r"conv(olution)?[123]?d?_?)?"
)
ORDERS = ["".join(letters) for letters in permutations("qkv")]
ROLES = {
    "joined": (
        rf"{BEGIN}({'|'.join(ORDERS)}|in|attn|query_?key_?value|qkvs){END}"
    ),
    "kv": rf"{BEGIN}(kv|vk|key_?value|value_?key|k_v){END}",
    "query": rf"{BEGIN}(q|query|queries){END}",
    "key": rf"{BEGIN}(k|key|keys){END}",
    "value": rf"{BEGIN}(v|value|values|val){END}",
    "output": (
        rf"{BEGIN}(c|o|out|outputs?|concat|unify_?heads?|combine|merge|mix|"
        rf"final|fc|fc_o|[a-z]+_out|resid|proj|projection|dense|linear|res)?{END}"
    ),
}
NORMS = ("LayerNorm", "RMSNorm")
GROUPS = re.compile(r"GroupNorm of (\d+)")
OTHER_NORMS = re.compile(r"(Batch|Instance)Norm")
LAST = ("weight", "bias", "w", "b", "kernel", "matrix", "gamma", "beta")
HELD = r"v|val|values?|data|array"  # of an object that has gradients, too
PREFIX = r"^(weights?|w|bias|b|kernel)_?(?=[a-z0-9])"
SUFFIX = r"_(weights?|w|bias|b|kernel)$"
IGNORED = re.compile(
    r"mask|tril|triu|cache|last_|_weights$|attention$", re.I
)


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of a layer of heads, and what it does beside.

    `output` is None where no layer mixes the heads. `inside` tells what
    else the layer does: "residual", "norm last", "norm first". The norm
    is a layer norm, or a group norm of so many `groups`. Queries and keys
    are turned by their positions where there is a `turn`; attention is
    multiplied by a number that is learned where there is a `gate`, and its
    scores by 1, not 1/√d_head, where they are `unscaled`; then by a factor
    that is `learned`. To scores a `bias` is added, of (heads, query, key).
    What else is done with scores, the `variant` says; queries and keys
    have norms of their own where there is a `qk_norm`; `latents` are what
    queries, and keys with values, are made from in place of tokens. A norm
    at the beginning is for the tokens of those that it has `served`.
    """

    query: Layer
    key: Layer
    value: Layer
    output: Layer | None
    heads: int
    inside: str = ""
    norm: Layer | None = None
    epsilon: float = 1e-5
    groups: int = 0
    gate: np.ndarray | None = None
    unscaled: bool = False
    learned: np.ndarray | None = None
    bias: np.ndarray | None = None
    variant: Variant | None = None
    qk_norm: NormsOfHeads | None = None
    latents: tuple[LatentTokens | None, LatentTokens | None] = (None, None)
    turn: Turn | None = None
    served: tuple[str, ...] = QKV

    def norm_is_before(self, name: str) -> bool:
        """Whether what queries, keys or values are made from has a norm."""
        return self.inside.startswith("norm first") and name in self.served

    @property
    def width_in(self) -> int:
        """Of the tokens."""
        latent, _ = self.latents
        return (latent.down if latent else self.query)[0].shape[1]

    @property
    def key_heads(self) -> int:
        """How many heads of keys there are: as many, or fewer."""
        d_head = len(self.query[0]) // self.heads
        return max(1, len(self.key[0]) // d_head)


@dataclass(frozen=True)
class Part:
    """One layer: the names of its matrix and of its bias.

    A `turned` matrix has a column for each output feature. Of a joined
    layer, `chunk` is (which, of how many, and whether head by head); the
    first one is as wide as what the layer `beside` takes, if that is named.
    """

    matrix: str
    bias: str | None = None
    turned: bool = False
    chunk: tuple[int, int, bool] | None = None
    beside: str = ""


@dataclass(frozen=True)
class Recipe:
    """Which arrays are for what; several parts are heads, one by one.

    `reach`, a key of `variants.REACHES`, is how far a window reaches that
    is told by an argument. `heads` is a number, or None for as many as the
    layer was built with.
    A norm at the beginning is for the tokens that are `served`: "all"; its
    "own", not others to attend to; or those of "queries", whatever is
    passed beside. `by_name` tells whether names said so.
    """

    query: tuple[Part, ...]
    key: tuple[Part, ...]
    value: tuple[Part, ...]
    output: Part | None = None
    heads: int | None = None
    layout: str = "query, key and value apart"
    inside: str = ""
    norm: tuple[str, str | None] | None = None
    epsilon: float = 1e-5
    groups: int = 0
    gate: str | None = None
    unscaled: bool = False
    learned: LearnedScale | None = None
    distances: Distances | Buckets | None = None
    variant: Variant | None = None
    reach: str = ""
    sinks: str | None = None
    qk_norm: QKNorm | None = None
    latents: tuple[Latent | None, Latent | None] = (None, None)
    served: str = "all"
    by_name: bool = True

    @property
    def around(self) -> dict:
        """What it says that is not of query, key, value and output."""
        names = ("inside", "norm", "epsilon", "groups", "gate", "unscaled")
        names += (
            "learned",
            "distances",
            "variant",
            "reach",
            "sinks",
            "qk_norm",
        )
        names += ("latents", "served")
        return {name: getattr(self, name) for name in names}

    @property
    def matrices(self) -> tuple[str, ...]:
        """Those of query, key and value."""
        parts = (*self.query, *self.key, *self.value)
        return tuple(part.matrix for part in parts)

    def labels(self) -> set[str]:
        """The names of all arrays that it uses."""
        parts = [*self.query, *self.key, *self.value, self.output]
        used = {n for p in parts if p for n in (p.matrix, p.bias) if n}
        beside = (*(self.norm or ()), self.gate, self.sinks)
        for each in (self.qk_norm, *self.latents):
            beside += tuple(each.labels) if each else ()
        learned = (x.label for x in (self.learned, self.distances) if x)
        return used | {name for name in (*beside, *learned) if name}


def weights(recipe: Recipe, arrays: dict, heads: int) -> Weights:
    """The weights by this recipe. Raises ValueError if they do not fit."""
    count = recipe.heads or heads
    if len(recipe.query) > 1:
        count = len(recipe.query)
    query, key, value = (
        stacked([layer_of(part, arrays, count) for part in parts])
        for parts in (recipe.query, recipe.key, recipe.value)
    )
    output = recipe.output and output_of(recipe.output, arrays, count)
    norm = None
    if recipe.norm:
        gain, shift = recipe.norm
        bias = arrays[shift] if shift else np.zeros_like(arrays[gain])
        norm = arrays[gain], bias
    d_head, rest = divmod(len(query[0]), count)
    if rest or len(key[0]) % d_head or count % (len(key[0]) // d_head or 1):
        raise ValueError(f"{len(query[0])} features in {count} heads")
    gate = recipe.gate and arrays[recipe.gate].reshape(())
    around = recipe.inside, norm, recipe.epsilon, recipe.groups
    scale, distances = recipe.learned, recipe.distances
    learned = scale and scale.of(arrays[scale.label])
    bias = distances and distances.bias(arrays[distances.label])
    variant = recipe.variant
    if variant and recipe.sinks:
        sinks = tuple(arrays[recipe.sinks].reshape(-1))
        variant = replace(variant, sinks=sinks)
    qk_norm = recipe.qk_norm and recipe.qk_norm.of(arrays)
    latents = tuple(each and each.of(arrays) for each in recipe.latents)
    beside = *around, gate, recipe.unscaled, learned, bias
    more = variant, qk_norm, latents
    return Weights(query, key, value, output, count, *beside, *more)


def stacked(layers: list[Layer]) -> Layer:
    """The layers of all heads, one below the other."""
    matrices, biases = zip(*layers, strict=True)
    return np.concatenate(matrices), np.concatenate(biases)


def layer_of(part: Part, arrays: dict, heads: int) -> Layer:
    matrix = arrays[part.matrix]
    if is_of_single_positions(matrix.shape):
        matrix = matrix.reshape(matrix.shape[:2])
    if matrix.ndim == 3:  # a matrix for each head: (heads, in, out)
        matrix = matrix.swapaxes(1, 2) if not part.turned else matrix
        matrix = matrix.reshape(-1, matrix.shape[-1])
    elif part.turned:
        matrix = matrix.T
    bias = np.zeros(len(matrix), matrix.dtype)
    if part.bias is not None:
        bias = arrays[part.bias].reshape(-1)
    if part.chunk is None:
        return matrix, bias
    which, count, by_head = part.chunk
    if part.beside:
        first = arrays[part.beside].shape[0 if part.turned else 1]
        return chunk_of_unequal(matrix, bias, which, count, first)
    if len(matrix) % (count * heads if by_head else count):
        raise ValueError(f"{len(matrix)} features in {count} parts")
    whole = np.concatenate([matrix, bias[:, None]], axis=1)
    if by_head:
        chunks = whole.reshape(heads, count, -1, whole.shape[1])
        chunk = chunks[:, which].reshape(-1, whole.shape[1])
    else:
        chunk = np.split(whole, count)[which]
    return chunk[:, :-1], chunk[:, -1]


def chunk_of_unequal(
    matrix: np.ndarray, bias: np.ndarray, which: int, count: int, first: int
) -> Layer:
    """One chunk, where the first is of that width, and the others share
    the rest."""
    rest, left = divmod(len(matrix) - first, count - 1)
    if rest <= 0 or left:
        raise ValueError(f"{len(matrix)} features beside {first}")
    ends = [first + rest * index for index in range(count)]
    chunk = slice(*[0, *ends][which : which + 2])
    return matrix[chunk], bias[chunk]


def is_of_single_positions(shape: tuple[int, ...]) -> bool:
    """Whether it is a convolution that is a matrix: (out, in, 1, 1)."""
    return len(shape) > 2 and set(shape[2:]) == {1}


def output_of(part: Part, arrays: dict, heads: int) -> Layer:
    """The output's layer; of a matrix for each head, what comes of the
    heads is summed."""
    matrix = arrays[part.matrix]
    if matrix.ndim == 3 and not is_of_single_positions(matrix.shape):
        matrix = matrix.swapaxes(1, 2) if part.turned else matrix
        joined = matrix.reshape(-1, matrix.shape[-1])
        arrays = arrays | {part.matrix: joined.T}
        part = replace(part, turned=False)
    return layer_of(part, arrays, heads)


def in_groups(x: np.ndarray, groups: int) -> np.ndarray:
    """The channels of each group at all positions, one after the other:
    a group norm is the layer norm of these."""
    *batch, tokens, width = x.shape
    parts = x.reshape(*batch, tokens, groups, width // groups)
    return parts.swapaxes(-3, -2).reshape(*batch, groups, -1)


def out_of_groups(x: np.ndarray, tokens: int) -> np.ndarray:
    """Tokens by channels again."""
    *batch, groups, size = x.shape
    parts = x.reshape(*batch, groups, tokens, size // tokens)
    return parts.swapaxes(-3, -2).reshape(*batch, tokens, -1)


def norm_in_groups(read: Weights, tokens: int) -> list[np.ndarray]:
    """A group norm's gain and bias, as its groups have them."""
    return [
        in_groups(np.broadcast_to(each, (tokens, len(each))), read.groups)
        for each in read.norm
    ]


# --- recipes -------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """A layer as it is named: where, its arrays, its owner, its role."""

    key: str
    matrix: str
    bias: str | None
    owner: str
    shape: tuple[int, ...]

    @property
    def can_turn(self) -> bool:
        return self.owner not in ("Linear", *CONVOLUTIONS)

    def part(self, turned: bool, chunk=None) -> Part:
        is_turned = self.owner == "Conv1D" or (self.can_turn and turned)
        return Part(self.matrix, self.bias, is_turned, chunk)


def key_of(label: str) -> str:
    """What a matrix and its bias have in common: "q" of "W_q" and "b_q"."""
    *path, last = (in_english(part).lower() for part in label.split("."))
    if last in LAST and path:
        return ".".join(path)
    last = re.sub(SUFFIX, "", re.sub(PREFIX, "", last))
    return ".".join([*path, "" if last in LAST else last])


GRADIENTS = r"^(d_?|grads?_?)(?=\w)|(?<=\w)_grads?$"  # around a name
# What stands beside a matrix in one object, by its name alone.
KEPT = re.compile(r"g|d|dw|grads?|gradients?|vel(ocity)?|mom(entum)?", re.I)
AVERAGES = {"m", "v"}  # of Adam, if both are there


def is_a_gradient(label: str, shapes: dict) -> bool:
    """Whether an array is kept for the gradient of another one of these:
    "dW" beside "W", or "grads.W" beside "W" or "params.W"; or it is one
    of several in an object, the gradient or what an optimizer keeps.

    >>> is_a_gradient("q.dW", {"q.W": (2, 3), "q.dW": (2, 3)})
    True
    """
    *path, last = label.split(".")
    if any(re.fullmatch(r"grad(ient)?s?", part) for part in path):
        return True
    of = ".".join([*path, re.sub(GRADIENTS, "", last, count=1)])
    if of != label and shapes.get(of) == shapes[label]:
        return True
    alike = {
        name
        for each, shape in shapes.items()
        for *owner, name in [each.split(".")]
        if owner == path and shape == shapes[label]
    }
    if not path or any(re.fullmatch(SHIFT, name) for name in alike):
        return False  # a norm has a gain g
    weights = {name for name in alike if not KEPT.fullmatch(name)}
    weights -= AVERAGES if weights > AVERAGES else set()
    return bool(weights) and last not in weights


def named_layers(parameters) -> list[Named]:
    """Layers of the parameters: (name, shape, owner), norms excluded."""
    owners = Counter(label.rpartition(".")[0] for label, *_ in parameters)
    biases = {
        key_of_layer(label, owners): label
        for label, shape, owner in parameters
        if len(shape) == 1 and not is_norm(owner)
    }
    return [
        Named(key, label, biases.get(key), owner, shape)
        for label, shape, owner in parameters
        for key in [key_of_layer(label, owners)]
        if is_a_layer(shape, owner)
        and owner not in (*NORMS, "Embedding")
        and not (IGNORED.search(label) or TABLE.search(label))
    ]


def key_of_layer(label: str, owners: Counter) -> str:
    """Its key; that of its object, if it is just called the value of one
    that has no other array: "Wq.v" is not of the values."""
    path, _, last = label.rpartition(".")
    is_alone = owners[path] == 1 and re.fullmatch(HELD, last, re.I)
    named = path.rpartition(".")[-1]
    of_object = named and is_alone and role_of(key_of(named))
    return key_of(path) if of_object else key_of(label)


def is_a_layer(shape: tuple[int, ...], owner: str) -> bool:
    """Whether it is a matrix, a matrix for each head, or a convolution
    that looks at one position at a time."""
    is_matrix = len(shape) in (2, 3) and owner not in CONVOLUTIONS
    return is_matrix or is_of_single_positions(shape)


def is_norm(owner: str) -> bool:
    return owner in NORMS or GROUPS.match(owner) is not None


def groups_of(parameters) -> int:
    """How many groups its norm has; 0 where it is no group norm."""
    found = (GROUPS.match(owner) for _, _, owner in parameters)
    return next((int(match[1]) for match in found if match), 0)


def norm_of(parameters) -> tuple[str, str | None] | None:
    """The names of a layer norm's gain and bias, or a group norm's."""
    inner = {n for names in qk_norms_of(parameters) for n in names}
    latents = filter(None, latents_of(parameters))
    inner |= {n for each in latents for n in each.labels}
    parameters = [p for p in parameters if p[0] not in inner]
    owned = [label for label, _, owner in parameters if is_norm(owner)]
    if not owned:
        owned = [
            label
            for label, shape, owner in parameters
            if len(shape) == 1
            and shape != (1,)  # which is a gate
            and re.search(r"(norm|ln|gamma|beta)", label, re.I)
            and not OTHER_NORMS.search(owner)
        ]
    gain = next((n for n in owned if re.search(GAIN, n)), None)
    shift = next((n for n in owned if re.search(SHIFT, n)), None)
    return (gain, shift) if gain else None


def sinks_of(parameters, heads: int) -> str | None:
    """The name of the sinks, one score for each head."""
    named = (
        label
        for label, shape, _ in parameters
        if kind_of(label.split(".")[-1]) == "sinks" and prod(shape) == heads
    )
    return next(named, None)


def role_of(key: str) -> str | None:
    """The role of a layer: by the last part of its name that has one.

    The output may be called as any layer: the "linear" of a query is none.
    """
    roles = [
        role
        for part in reversed(key.split("."))
        for role, pattern in ROLES.items()
        if re.fullmatch(pattern, part) and (part or role == "output")
    ]
    of_tokens = [r for r in roles if r in QKV]
    if roles[:1] == ["output"]:
        roles = of_tokens + roles
    return next(iter(roles), None)


def recipes(parameters) -> Iterator[Recipe]:
    """Ways to read these parameters, from the likeliest on.

    What names say of query, key and value, no trial contradicts.
    """
    layers, norm = named_layers(parameters), norm_of(parameters)
    groups, latents = groups_of(parameters), latents_of(parameters)
    if any(latents):
        yield from of_latents(layers, latents)
        return
    named = list(by_name(layers))
    said = {r.matrices for r in named if len(set(r.matrices)) > 2}
    tried = [r for r in by_trial(layers) if not said or r.matrices in said]
    for recipe in named + tried:
        yield replace(recipe, norm=norm, groups=groups)


def of_latents(layers: list[Named], latents) -> Iterator[Recipe]:
    """Recipes of what goes up from latents, under the names that it would
    have without them."""
    down = {each.matrix for each in latents if each}
    ups = [
        replace(each, key=up_of(each.matrix) or each.key)
        for each in layers
        if each.matrix not in down
    ]
    can_turn = any(each.can_turn for each in layers if each.matrix in down)
    ways = (True, False) if can_turn else (False,)
    for recipe, turned in product([*by_name(ups)], ways):
        own = tuple(
            each and replace(each, turned=turned) for each in latents
        )
        yield replace(recipe, latents=own)


def by_name(layers: list[Named]) -> Iterator[Recipe]:
    """Recipes from the names of layers."""
    roles, either = by_role(layers), len(orientations(layers)) > 1
    for turned in orientations(layers):
        heads = numbered(layers, turned)
        four = in_a_list(layers, turned)
        output = next(iter(roles.get("output", ())), None)
        out = output and output.part(turned)
        said = ", for x Wᵀ" if either and not turned else ""
        if four:
            yield four
        if heads:
            layout = f"{heads.layout}{said}"
            yield replace(heads, output=out, layout=layout)
        if {"query", "key", "value"} <= roles.keys():
            parts = [
                tuple(layer.part(turned) for layer in roles[role])
                for role in QKV
            ]
            layout = f"query, key and value apart{said}"
            yield Recipe(*parts, out, layout=layout)
        elif {"query", "kv"} <= roles.keys():
            yield from of_two(
                roles["query"][0], roles["kv"][0], out, turned
            )
        elif "joined" in roles:
            yield from of_one(roles["joined"][0], out, turned)


def orientations(layers: list[Named]) -> tuple[bool, ...]:
    """Whether bare matrices are for x W (turned), for x Wᵀ, or either."""
    has_bare = any(layer.can_turn for layer in layers)
    return (True, False) if has_bare else (False,)


def by_role(layers: list[Named]) -> dict[str, list[Named]]:
    roles: dict[str, list[Named]] = {}
    for layer in layers:
        role = role_of(layer.key)
        if role:
            roles.setdefault(role, []).append(layer)
    return roles


def numbered(layers: list[Named], turned: bool) -> Recipe | None:
    """Heads that are members of a list, each with its three layers."""
    heads: dict[str, dict[str, Part]] = {}
    for layer in layers:
        match = re.match(r"(.*?\.\d+|\d+)\.(.*)", layer.key)
        role = match and role_of(match[2])
        if role in QKV:
            heads.setdefault(match[1], {})[role] = layer.part(turned)
    whole = [head for head in heads.values() if len(head) == 3]
    if len(whole) < 2:
        return None
    parts = (tuple(head[role] for head in whole) for role in QKV)
    return Recipe(*parts, layout="query, key and value of each head")


def in_a_list(layers: list[Named], turned: bool) -> Recipe | None:
    """The four layers of the Annotated Transformer, which have no names."""
    members = [m for m in layers if re.fullmatch(r".*\.\d+", m.key)]
    if len(members) != 4 or len({m.shape for m in members}) != 1:
        return None
    if any(role_of(m.key.rpartition(".")[0]) == "query" for m in members):
        return None
    query, key, value, output = (m.part(turned) for m in members)
    return Recipe((query,), (key,), (value,), output)


def of_one(
    layer: Named, output: Part | None, turned: bool
) -> Iterator[Recipe]:
    """Query, key and value in one layer, in each order and layout; first
    in the order of the letters of its name."""
    names = QKV
    told = [letters for letters in ORDERS if letters in layer.key]
    orders = [
        tuple(letters.index(letter) for letter in "qkv")
        for letters in dict.fromkeys([*told, *ORDERS])
    ]
    for by_head, order in product((False, True), orders):
        parts = [
            (layer.part(turned, (order[index], 3, by_head)),)
            for index in range(3)
        ]
        said = ", ".join(sorted(names, key=lambda n: order[names.index(n)]))
        how = "of one head, then of the next" if by_head else ""
        layout = f"{said} {how or 'one below the other'}"
        yield Recipe(*parts, output, layout=layout)
    if output is None:
        return
    fewer = [
        replace(layer.part(turned, (index, 3, False)), beside=output.matrix)
        for index in range(3)
    ]
    yield Recipe(
        *((part,) for part in fewer),
        output,
        layout="query, and fewer heads of key and value, in one layer",
    )


def of_two(
    query: Named, kv: Named, output: Part | None, turned: bool
) -> Iterator[Recipe]:
    """The query in one layer, key and value in another."""
    for by_head, (key, value) in product((False, True), ((0, 1), (1, 0))):
        yield Recipe(
            (query.part(turned),),
            (kv.part(turned, (key, 2, by_head)),),
            (kv.part(turned, (value, 2, by_head)),),
            output,
            layout="key and value in one layer",
        )


def by_trial(layers: list[Named]) -> Iterator[Recipe]:
    """Every assignment of up to four layers."""
    if len(layers) > 4:
        return
    for turned in orientations(layers):
        for chosen in permutations(layers):
            parts = [layer.part(turned) for layer in chosen]
            if len(parts) >= 3:
                query, key, value, *rest = parts
                yield Recipe(
                    (query,),
                    (key,),
                    (value,),
                    rest[0] if rest else None,
                    layout=", ".join(part.matrix for part in parts),
                    by_name=False,
                )
            elif parts:
                output = parts[1] if len(parts) == 2 else None
                for each in of_one(chosen[0], output, turned):
                    yield replace(each, by_name=False)
