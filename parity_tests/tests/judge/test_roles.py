"""What names and docstrings say of arguments, before anything is tried."""

from dataclasses import replace

import pytest

from parity_tests.judge.candidate.host import Host
from parity_tests.judge.candidate.things import (
    Parameter,
    Thing,
    described,
    parameters_of,
)
from parity_tests.judge.classes.body import call_roles
from parity_tests.judge.classes.building import (
    FIRST,
    configuration,
    is_configured,
    names_asked,
    optional_sizes,
    size_asked,
    size_named,
    sizes_named,
    sizes_of_arguments,
    values_of,
)
from parity_tests.judge.classes.images import takes_images
from parity_tests.judge.subject.forms import MaskForm
from parity_tests.judge.subject.languages import SMALL, WORDS
from parity_tests.judge.subject.masks import forms_told
from parity_tests.judge.subject.roles import (
    aligns_last,
    comments_on,
    gives_zeros,
    has_role,
    have_one_shape,
    is_left_alone,
    is_said_to_be_causal,
    left_at_defaults,
    qkv_of,
    roles_of,
    stated_axes,
    stated_first,
    stated_meaning,
    stated_rank,
)
from parity_tests.judge.subject.weights import key_of, role_of


def roles(function):
    return roles_of(parameters_of(function))


# --- arguments -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Q", "query"),
        ("queries", "query"),
        ("query_states", "query"),
        ("xq", "query"),
        ("key_layer", "key"),
        ("my_values", "value"),
        ("attn_mask", "mask"),
        ("attention_bias", "mask"),
        ("key_padding_mask", "mask"),
        ("adj", "mask"),
        ("adjacency_matrix", "mask"),
        ("keep_mask", "mask"),
        ("real", "mask"),
        ("is_valid", "mask"),
        ("valid_tokens", "mask"),
        ("non_pad", "mask"),
        ("not_padding", "mask"),
        ("valid_lens", "lengths"),
        ("is_causal", "causal"),
        ("softmax_scale", "scale"),
        ("d_k", "d_head"),
        ("dropout_p", "dropout"),
        ("training", "training"),
        ("num_heads", "heads"),
        ("encoder_hidden_states", "context"),
    ],
)
def test_a_name_says_what_an_argument_is_for(name, role):
    assert has_role(name, role)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("query_dim", "query"),
        ("keyword", "key"),
        ("v_heads", "value"),
        ("hidden_states", "mask"),
        ("adjusted", "mask"),
        ("valid_lens", "mask"),
        ("real_part", "mask"),
        ("max_length", "lengths"),
        ("rescaled", "scale"),
        ("probability", "dropout"),
        ("head_dim", "heads"),
    ],
)
def test_a_name_that_only_looks_like_it_says_nothing(name, role):
    assert not has_role(name, role)


def test_arguments_are_found_by_their_names_or_their_order():
    named = roles(lambda V, K, Q, dropout_p: None)
    assert named.tensors == ("Q", "K", "V")
    assert named.fixed == (("dropout_p", 0.0),)
    placed = roles(lambda a, b, c, m: None)
    assert placed.tensors == ("a", "b", "c")
    assert placed.masks == placed.required_masks == ("m",)
    assert roles(lambda a, b: None) is None


def test_what_is_left_with_a_default_is_left_alone():
    left = roles(lambda q, k, v, mask=None, tile=4, dropout=None: None)
    assert left.masks == ("mask",)
    assert left.required_masks == left.fixed == left.unknown == ()
    assert left.left_alone == ("tile",)
    needed = roles(lambda q, k, v, other: None)
    assert needed.unknown == ("other",)
    assert needed.left_alone == ()


def test_what_tells_a_variant_is_passed_if_it_can_be():
    told = roles(
        lambda q, k, v, window=4, softcap=None, sinks=None, slopes="no": (
            None
        )
    )
    assert [(each.kind, each.is_off) for each in told.beside] == [
        ("window", False),
        ("cap", True),
        ("sinks", True),
    ]
    assert told.left_alone == ("slopes",)


@pytest.mark.parametrize(
    "name",
    [
        *("window_size", "soft_cap", "alibi_slopes", "sinks", "past"),
        *("use_rope", "tile_size", "temperature", "num_heads", "d_k"),
    ],
)
def test_what_may_change_an_answer_is_said_to_be_left_alone(name):
    takes = Parameter(name, required=False)
    assert is_left_alone(takes)
    said = {f"its argument {name}": "left at its default"}
    if name == "past":
        said = {"its cache": "past was left at its default"}
    assert left_at_defaults((name,)) == said
    assert not is_left_alone(Parameter(name, required=True))


@pytest.mark.parametrize(
    "name",
    [
        *("dropout", "attn_drop", "dropout_p", "training", "is_training"),
        *("return_weights", "return_attn", "need_weights", "average_attn_"),
        *("output_attentions", "with_weights", "dtype", "rng", "eps"),
    ],
)
def test_what_changes_no_answer_is_left_alone_in_silence(name):
    assert not is_left_alone(Parameter(name, required=False))


def test_arguments_that_are_asked_are_not_left_alone():
    asked = roles(
        lambda q, k, v, mask=None, valid_lens=None, scale=None, causal=0: 0
    )
    assert asked.left_alone == ()
    assert roles(lambda q, k, v, scale=True: 0).left_alone == ("scale",)


def test_a_layer_has_arguments_that_are_left_alone_too():
    def forward(x, mask=None, context=None, window=4, return_attn=0): ...

    call = call_roles(parameters_of(forward))
    assert call.left_alone == ("window",)
    assert not call.cache


@pytest.mark.parametrize(
    ("layer", "holders", "switches", "position", "at_rest"),
    [
        (
            lambda x, past=None, use_cache=False: 0,
            ("past",),
            ("use_cache",),
            None,
            {"use_cache": False},
        ),
        (
            lambda x, past_k=None, past_v=None, return_kv=True: 0,
            ("past_k", "past_v"),
            ("return_kv",),
            None,
            {"return_kv": False},
        ),
        (
            lambda x, start_pos, mask=None: 0,
            (),
            (),
            "start_pos",
            {"start_pos": 0},
        ),
        (
            lambda x, cache_position=0, kv_cache=None: 0,
            ("kv_cache",),
            (),
            "cache_position",
            {"cache_position": 0},
        ),
        # A position that may be an array of them is no number; a cache of
        # another kind stays what it is.
        (
            lambda x, cache_position=None: 0,
            (),
            (),
            None,
            {},
        ),
        (lambda x, cache_size=4: 0, (), (), None, {}),
    ],
)
def test_the_arguments_of_a_cache_are_known(
    layer, holders, switches, position, at_rest
):
    cache = call_roles(parameters_of(layer)).cache
    assert (cache.holders, cache.switches) == (holders, switches)
    assert cache.position == position
    assert cache.at_rest == at_rest


@pytest.mark.parametrize(
    ("layer", "tokens", "masks"),
    [
        (lambda hidden: 0, {"hidden": "x"}, ()),
        (lambda hidden, mask: 0, {"hidden": "x"}, ("mask",)),
        (
            lambda hidden, context: 0,
            {"hidden": "x", "context": "context"},
            (),
        ),
        (lambda masked_x, return_weights=0: 0, {"masked_x": "x"}, ()),
        (lambda seen, flag=0, mask=None: 0, {"seen": "x"}, ("mask",)),
        (lambda mask, x: 0, {"x": "x"}, ("mask",)),
        (
            lambda query, key, value, hidden: 0,
            {"query": "query", "key": "key", "value": "value"},
            ("hidden",),
        ),
    ],
)
def test_a_layer_takes_tokens_whatever_their_name(layer, tokens, masks):
    call = call_roles(parameters_of(layer))
    assert (call.tokens, call.masks) == (tokens, masks)


@pytest.mark.parametrize(
    ("layer", "said", "masks", "dropped"),
    [
        (lambda x, keep: 0, "out * keep", ("keep",), ()),
        (lambda x, keep: 0, "weights * keep / (1 - self.p)", (), ("keep",)),
        (lambda x, keep, rate: 0, "", (), ("keep",)),
        (lambda x, keep: 0, "keep: the dropout mask", (), ("keep",)),
        (lambda x, dropout_mask: 0, "", (), ("dropout_mask",)),
    ],
)
def test_what_is_kept_are_tokens_unless_dropout_is_meant(
    layer, said, masks, dropped
):
    call = call_roles(parameters_of(layer), said=said)
    assert (call.masks, call.dropout_masks) == (masks, dropped)


def test_a_required_width_and_a_required_number_of_heads():
    both = roles(lambda q, k, v, d_k, num_heads: None)
    assert both.fixed == (("d_k", "d_head"),)
    assert both.heads == "num_heads"
    assert roles(lambda q, k, v, num_heads=2: None).heads is None


def test_a_scale_that_is_a_flag_is_no_scale():
    assert roles(lambda q, k, v, scale=None: None).scale == "scale"
    assert roles(lambda q, k, v, scale=True: None).scale is None


def test_a_causal_flag_is_no_mask():
    on = roles(lambda q, k, v, causal=True: None)
    assert (on.causal, on.masks) == ("causal", ())


def test_what_stands_behind_a_star_is_no_argument():
    def attention(q, k, v, *rest, mask=None, **more): ...

    assert roles(attention).masks == ("mask",)
    assert roles(attention).unknown == ()


# --- masks ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            "mask: batch x keys, where padding items are marked by 1s",
            "hidden",
        ),
        (
            "a mask, in which real tokens are indicated with a `1`",
            "attends",
        ),
        ("mask: padding is denoted by 0.", "attends"),
        ("mask: 1 表示真实的词, 0 表示填充", "attends"),
        ("mask: (batch, n) 0 为有效位置", "hidden"),
        ("mask: True 表示不可见", "hidden"),
        ("mask: 下三角矩阵", None),
        ("mask: True where a query may attend", "attends"),
        ("`mask` is 1 for tokens to keep and 0 for padding.", "attends"),
        ("mask: positions with 0 are ignored", "attends"),
        ("mask: entries equal to 0 are masked", "attends"),
        ("mask: nonzero entries may be seen", "attends"),
        ("A mask with False where attention is not allowed", "attends"),
        ("mask: True entries are kept", "attends"),
        ("mask: True means masked out", "hidden"),
        ("mask: True marks padding", "hidden"),
        ("mask (batch, key) with 1 = pad token", "hidden"),
        ("mask: 1 means do not attend", "hidden"),
        ("mask: True values will be ignored", "hidden"),
        ("mask: True for the tokens that must not be seen", "hidden"),
        ("mask: 0s are positions that may be attended to", "hidden"),
        ("mask: added to the scores", "added"),
        ("An additive mask.", "added"),
        ("The mask holds 0 or -inf.", "added"),
        ("The mask is 0 to keep and \N{MINUS SIGN}1e9 to hide.", "added"),
        ("mask: a boolean array", None),
        ("Masks padding. Returns 10 tokens.", None),
        ("True is said of something else. There is a mask.", None),
        ("Scores are set to -1e9 where the mask is zero.", None),
        ("mask == 0 is filled with -inf", None),
        (
            "mask: bool, True at <pad> positions, which are ignored",
            "hidden",
        ),
        ("mask: 1 at [PAD], else 0", "hidden"),
        ("mask: bool. True: the element takes part.", "attends"),
        ("mask: True for the encoder's tokens that are real", "attends"),
        ("mask: True if a token of the source is padded", "hidden"),
        ("mask: True for the tokens it should not attend to", "hidden"),
        ("A mask. False: such a position is hidden.", "attends"),
        ("mask: True to use a causal mask", None),
        ("mask: bool\n  causal: if True, those before are visible", None),
        ("flag: True: all is visible\n  mask: a boolean array", None),
        (
            "mask (optional): bool, True: it takes part\n  p: padding",
            "attends",
        ),
        ("A mask. It is long. True: it takes part.", None),
        ("mask: True where the token is not padding", "attends"),
        ("mask: True where tokens != PAD", "attends"),
        ("mask: True where tokens == PAD", "hidden"),
        ("mask is True at non-pad tokens", "attends"),
        ("mask: True unless a position is padded", "attends"),
        ("mask: False where there is no padding", "hidden"),
        ("mask: True for all but the <pad> tokens", "attends"),
        ("mask: True for what is not a word, but padding", "hidden"),
        ("mask: True for what is not to be seen", "hidden"),
    ],
)
def test_what_a_docstring_says_of_a_mask(text, meaning):
    assert stated_meaning(text, "mask") == meaning


def test_self_loops_that_are_added_add_no_mask():
    said = "adj: adjacency, {}; self-loops are added"
    assert stated_meaning(said.format("1 for an edge"), "adj") is None
    hidden = stated_meaning(said.format("0 is visible"), "adj")
    assert hidden == "hidden"
    biased = said.format("-inf where there is no edge")
    assert stated_meaning(biased, "adj") == "added"


def test_each_of_two_masks_is_passed_in_the_form_that_is_told():
    def layer(x, pad_mask, attn_mask, other_mask):
        """
        pad_mask: (users, tokens), True for padding
        attn_mask: (tokens, tokens), 1 where it may attend
        """

    thing = described("layer", layer)
    assert forms_told(thing, ("pad_mask", "attn_mask")) == {
        "pad_mask": MaskForm("True is masked", "text, key"),
        "attn_mask": MaskForm("True may attend", "query, key"),
    }
    assert forms_told(thing, ("pad_mask", "other_mask")) is None
    assert forms_told(thing, ("pad_mask",)) is None


def test_a_mask_of_another_name_is_known_by_its_name():
    assert stated_meaning("valid: True may be seen", "valid") == "attends"
    assert stated_meaning("valid: True may be seen", "other") is None


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("mask (batch, query, key)", "text, query, key"),
        ("mask: [b, 1, q, k]", "text, 1, query, key"),
        ("`mask`: (B, 1, 1, T), or None", "text, 1, 1, key"),
        ("mask of shape (N, 1, L)", "text, 1, key"),
        ("mask: (B, T)", "text, key"),
        ("mask: (users, T)", "text, key"),
        ("mask: (N, N)", "query, key"),
        ("mask (tokens, tokens)", "query, key"),
        ("`mask` has shape `[query, key, batch]`", "query, key, text"),
        ("mask (T,) bool", "key"),
        ("mask: (batch,)", None),
        ("mask: (optional)", None),
        ("attn (batch, query, key)", None),
    ],
)
def test_which_axes_a_docstring_gives_a_mask(text, axes):
    assert stated_axes(text, "mask") == axes


# --- the rest ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("x: (seq, batch, d_model)", "tokens"),
        ("of shape [T, B, C]", "tokens"),
        ("(L, N, E)", "tokens"),
        ("Shapes are Time x Batch x Features", "tokens"),
        ("x is LND, as in CLIP", "tokens"),
        ("sequence-first, as before 1.9", "tokens"),
        ("(batch, seq, d_model)", "texts"),
        ("(B, T, C)", "texts"),
        ("batch x length x width", "texts"),
        ("(tokens, features)", None),
        ("a mask of (batch, tgt_len, src_len), or (B, len_q, len_k)", None),
        ("Attention over tokens of a batch.", None),
    ],
)
def test_which_axis_of_tokens_is_said_to_come_first(text, first):
    assert stated_first(text) == first


@pytest.mark.parametrize(
    ("source", "first"),
    [
        ("seq_len, bsz, _ = x.shape", "tokens"),
        ("T, B, C = x.size()", "tokens"),
        ("src_len, bsz, d = memory.size()", "tokens"),
        ("n = x.shape[1]\nL = x.shape[0]", "tokens"),
        ("# x: (T, B, C)\nout = x", "tokens"),
        ("B, T, C = x.size()", "texts"),
        ("nbatches = x.size(0)", "texts"),
        ("n = x.size(0)", None),
        ("seq_len, bsz, _ = other.shape", None),
        ("tgt_len, bsz = x.shape[:2]", None),
    ],
)
def test_how_shapes_are_taken_apart_says_which_axis_is_first(source, first):
    assert stated_first("", source, ("x", "memory")) == first


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("The queries are the last ones.", True),
        ("The mask is aligned at the bottom right.", True),
        ("Takes the new tokens, with all earlier keys.", True),
        ("The keys have the last axis.", False),
    ],
)
def test_whether_queries_are_said_to_be_the_last(text, is_so):
    assert aligns_last(text) is is_so


def test_whether_it_is_said_to_be_causal():
    assert is_said_to_be_causal("causal_attention", "")
    assert is_said_to_be_causal("f", "Autoregressive.")
    assert not is_said_to_be_causal("attention", "")


def test_whether_zeros_are_said_to_be_for_a_fully_masked_row():
    assert gives_zeros("A fully masked\n    row gets zeros.")
    assert gives_zeros("A query that may attend to nothing gets 0.")
    assert not gives_zeros("A fully masked row. Zeros are elsewhere.")


def test_the_library_of_arrays_is_that_which_a_function_names(tmp_path):
    """Not what else its file imports; a helper's is not its own."""
    path = tmp_path / "both.py"
    path.write_text(
        "import numpy as np\n"
        "import torch\n"
        "def in_numpy(x):\n    return np.exp(x)\n"
        "def in_torch(x):\n    return torch.exp(x)\n"
        "def inside(x):\n    return list(map(lambda y: np.exp(y), x))\n"
        "def unnamed(x):\n    return x @ x\n"
        "def said(x: torch.Tensor):\n    return np.sqrt(2) * x\n"
    )
    things = Host().load(str(path), 20.0)["things"]
    assert {thing.name: thing.library for thing in things} == {
        "in_numpy": "numpy",
        "in_torch": "torch",
        "inside": "numpy",
        "unnamed": "torch",
        "said": "torch",
    }


# --- comments and shapes -------------------------------------------------


def test_comments_that_begin_with_a_name_speak_of_it():
    source = """
    def forward(
        self,
        x,
        mask=None,  # True is padding
    ):
        # src = [n, d]
        # mask = [b, n], 1 for tokens,
        # and 0 for padding
        # scores: set to -inf by the mask
        y = x  # the mask comes later
    """
    assert comments_on(source, "mask").split("\n") == [
        "True is padding",
        "mask = [b, n], 1 for tokens,",
        "and 0 for padding",
    ]
    assert comments_on(source, "keep") == ""


@pytest.mark.parametrize(
    ("annotation", "docs", "source", "rank"),
    [
        ("", "x: (batch, len_q, d_model); y: (n, d)", "", 3),
        ("", "x: `[batch, tokens, heads, features]`.", "", 4),
        ("", "y: (n, d)\nx: what to attend to", "", None),
        ("", "x: (..., tokens, d)", "", None),
        ("", "x: (L, E) for one text, or (N, L, E)", "", None),
        ("", "x: (batch, n, d) -> (batch, heads)", "", 3),
        ("", "x (as in the paper, section 3.2: it is long)", "", None),
        ("", "", "def f(x, w):  # [n, d] -> [n, d]", 2),
        ("", "", "def f(x):\n  # x = [batch size, src len, hid dim]", 3),
        ('jaxtyping.Float[Array, "b n d"]', "", "", 3),
        ('jaxtyping.Float[Array, "*b n d"]', "", "", None),
    ],
)
def test_the_axes_that_are_said_are_counted(annotation, docs, source, rank):
    parameter = Parameter("x", annotation=annotation)
    assert stated_rank(parameter, docs, source) == rank


def test_what_is_not_causal_is_not_said_to_be():
    for docs in ("non-causal", "not causal", "without causal mask"):
        assert not is_said_to_be_causal("attend", docs)


def test_a_large_negative_number_is_added():
    said = "mask: [b, 1, 1, n], 0.0 for tokens and -10000.0 for padding"
    assert stated_meaning(said, "mask") == "added"


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("q, k, v: (batch, tokens, d)", True),
        ("`q`, `k` and `v` have shape [B, H, T, D]", True),
        ("q: (batch, queries, d), k, v: (batch, keys, d)", False),
        ("q, k, v of any length", False),
    ],
)
def test_one_shape_may_be_said_of_query_key_and_value(text, one):
    assert have_one_shape(text, ("q", "k", "v")) == one


# --- what a constructor takes --------------------------------------------


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("HIDDEN_SIZE", "d_out"),
        ("HIDDEN_SIZE_HEAD", "d_head"),
        ("MULTI_HEAD", "heads"),
        ("DROPOUT_R", "dropped"),
        ("attn_embed_dim", "d_out"),
        ("attn_n_heads", "heads"),
        ("encoderHiddenDim", "d_out"),
        ("encoder_attention_heads", "heads"),
        ("attn_key_dim", "d_head"),
        ("d_kv", "d_head"),
        ("d_hidn", "d_out"),
        ("encoder_max_len", "context"),
        ("feat_dim", "d_others"),
        ("cross_attention_dim", "d_others"),
        ("d_context", "d_others"),
        ("context_size", "context"),
        ("ff_hidden_size", None),
        ("vocab_size", None),
        ("num_layers", None),
        ("use_cuda", None),
    ],
)
def test_a_configuration_is_asked_for_sizes_by_words(name, size):
    assert size_asked(name) == size


class OfAMangledName:
    def __init__(self, __C):
        self.width = __C.HIDDEN_SIZE

    def forward(self, x):
        return x


class OfAnUnknownName:
    def __init__(self, stuff, layer, eps):
        self.width = stuff["hidden_size"]
        self.layer, self.weight = layer, layer.weight

    def forward(self, x):
        return x


def test_what_sizes_are_read_from_is_a_configuration():
    (mangled,) = (thing := described("", OfAMangledName)).parameters
    assert mangled.name == "_OfAMangledName__C"
    assert names_asked(thing.source, mangled.name) == ("HIDDEN_SIZE",)
    assert is_configured(thing, mangled)
    thing = described("", OfAnUnknownName)
    told = [is_configured(thing, each) for each in thing.parameters]
    assert told == [True, False, False]


class OfABase:
    def __init__(self, config):
        self.width, self.base = config.hidden_size, config.angle_base

    def forward(self, x):
        return x


def test_what_is_no_size_is_as_the_file_gives_it():
    literals = ("angle_base", 500.0), ("hidden_size", 99)
    thing = replace(described("", OfABase), literals=literals)
    made = configuration(thing, "config", "", values_of(FIRST[0], 4))
    assert made.members["angle_base"] == 500.0
    assert made.members["hidden_size"] == FIRST[0].d_out


@pytest.mark.parametrize("name", ["Config", "T5Conf", "ModelCfg"])
def test_the_only_configuration_of_a_file_is_the_one_to_be_made(name):
    thing = replace(
        described("", OfABase), configurations=((name, ()), ("Args", ()))
    )
    made = configuration(thing, "config", "", values_of(FIRST[0], 4))
    assert made.record_name == name


def test_a_class_that_requires_a_number_is_given_that_of_the_file():
    thing = replace(
        described("", OfABase),
        literals=(("angle_base", 500.0),),
        configurations=(("Config", ("hidden_size", "angle_base", "more")),),
    )
    made = configuration(thing, "config", "", values_of(FIRST[0], 4))
    numbers = [made.members[n] for n in ("angle_base", "more")]
    assert numbers == [500.0, FIRST[0].d_out]


@pytest.mark.parametrize(
    "name", ["head_num", "heads_count", "headnum", "aheads", "att_heads"]
)
def test_a_number_of_heads_may_have_that_word_anywhere(name):
    assert size_named(name) == "heads"


@pytest.mark.parametrize(
    "names",
    [
        ("n_q", "n_kv"),
        ("num_heads", "num_kv"),
        ("heads", "kv_heads"),
        ("n_head", "n_kv_head"),
        ("num_heads", "num_query_groups"),
        ("n_heads", "n_groups"),
        ("h", "groups"),
    ],
)
def test_both_counts_of_heads_may_have_short_names(names):
    assert [*sizes_named(names).values()] == ["heads", "kv_heads"]


def test_short_names_alone_are_no_counts_of_heads():
    sizes = sizes_named(["n_q", "groups", "dim"])
    assert [*sizes.values()] == [None, None, "d_out"]


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        ("GroupNorm(groups, channels)", None),
        ("Conv2d(channels, channels, 1, groups=groups)", None),
        ("Linear(channels, channels)", "kv_heads"),
    ],
)
def test_groups_of_norms_and_of_convolutions_are_no_key_heads(layer, size):
    names = ("channels", "heads", "groups")
    parameters = tuple(Parameter(name) for name in names)
    source = f"class OfImages:\n  layer = {layer}"
    thing = Thing("OfImages", "class", parameters, source=source)
    assert sizes_of_arguments(thing)["groups"] == size


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("d_modelo", "d_out"),
        ("N_CABECAS", "heads"),
        ("dimCabeza", "d_head"),
        ("dim_por_cabeça", "d_head"),
        ("dim_chave", "d_head"),
        ("dim_valor", "d_value"),
        ("dim_entrada", "d_in"),
        ("nb_têtes", "heads"),
        ("taille_tete", "d_head"),
        ("longueur_max", "context"),
        ("anzahl_köpfe", "heads"),
        ("größe_kontext", "context"),
        ("moxing_weidu", "d_out"),
        ("tou_shu", "heads"),
        ("taxa_descarte", "dropped"),
        ("dim_kontext", "d_others"),
        ("vocabulario", None),
    ],
)
def test_sizes_may_be_named_in_other_languages(name, size):
    assert size_named(name) == size
    assert size_asked(name) == size


@pytest.mark.parametrize(
    ("label", "role"),
    [
        ("consulta.weight", "query"),
        ("cabecas.0.chave.weight", "key"),
        ("capa_clave.weight", "key"),
        ("W_requête", "query"),
        ("projection_valeur.bias", "value"),
        ("schlüssel.weight", "key"),
        ("wert.weight", "value"),
        ("w_chaxun", "query"),
        ("saida.weight", "output"),
        ("norma.weight", None),
    ],
)
def test_layers_may_be_named_in_other_languages(label, role):
    assert role_of(key_of(label)) == role


def test_arguments_of_a_call_may_be_named_in_other_languages():
    assert qkv_of(["consulta", "clave", "valor"])
    assert has_role("máscara", "mask")
    assert not has_role("masa", "mask")


def test_no_foreign_word_is_one_of_two():
    every = [w for words in WORDS.values() for w in words.split()]
    assert len(every) == len(set(every))
    english = {part for word in WORDS for part in word.split("_")}
    assert not english & set(every)
    assert not english & SMALL


def test_optional_sizes_are_given_one_kind_after_the_other():
    class Optional:
        def __init__(self, heads, width=None, d_k=None, norm=None, p=0.1):
            pass

        def forward(self, x):
            return x

    thing = described("", Optional)
    assert [*optional_sizes(thing)] == [(), ("width",), ("width", "d_k")]


def test_an_h_that_is_none_by_default_is_no_number_of_heads():
    def asked(x, h=None):
        pass

    def counted(x, h):
        pass

    assert call_roles(parameters_of(asked)).fixed == {}
    assert call_roles(parameters_of(counted)).fixed == {"h": "heads"}


def test_four_sizes_are_those_of_images():
    class Of4:
        def forward(self, x):
            b, c, h, w = x.shape
            return x.reshape(b, c, h * w)

    class Of3(Of4):
        def forward(self, x):
            b, t, c = x.shape
            return x.reshape(b, t * c)

    class OfAny(Of4):
        def forward(self, x):
            b, c, *places = x.shape
            return x.reshape(b, c, -1).reshape(b, c, *places)

    assert takes_images(described("", Of4))
    assert takes_images(described("", OfAny))
    assert not takes_images(described("", Of3))
