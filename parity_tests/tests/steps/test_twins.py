import copy
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import numpy_ref
import torch_impl
from parity_tests.exact import exact_steps
from parity_tests.tests.conftest import examples, expect_holds, one_in
from parity_tests.twins.case import tuple_of
from parity_tests.twins.comparing import expect_equal, with_exact
from parity_tests.twins.finding import find_twins, twin_files
from parity_tests.twins.recording import record
from parity_tests.twins.replaying import compare, to_numpy
from parity_tests.twins.rules import WITHOUT_TWIN, complaints
from parity_tests.twins.strategies import cases, precision_of
from torch_impl.gpt2_training import Gpt2DropoutMasks
from torch_impl.sublayers import DropoutMasks
from torch_impl.variants.qwen2 import with_biases

TWINS = find_twins()
DTYPES = st.sampled_from(["float32", "float64"])

# What is made of steps that are long themselves.
MODELS = {
    *("encoder", "bert", "decoder", "gpt2", "padded_gpt2"),
    *("distil_bert_embedding", "distil_bert"),
    *("albert_embedding", "encoder_block_tanh", "shared_encoder"),
    *("albert", "masked_language_head_tanh"),
    *("cached_decoder", "cached_gpt2", "decoder_with_dropout", "gpt2_loss"),
    *("llama_block", "llama_decoder", "llama", "cached_llama_block"),
    *("cached_llama_decoder", "cached_llama", "trained_llama_block"),
    *("trained_llama_decoder", "llama_loss"),
    *("transformer_encoder", "transformer_decoder", "transformer"),
    "transformer_loss",
}

# What is made of several steps.
BLOCKS = {
    *("encoder_block", "decoder_block", "decoder_block_with_dropout"),
    *("attention_sublayer", "attention_sublayer_with_dropout"),
    *("feed_forward_sublayer", "feed_forward_sublayer_with_dropout"),
    *("cached_attention_sublayer", "cached_decoder_block"),
    *("llama_attention_sublayer", "llama_feed_forward_sublayer"),
    *("cached_llama_attention_sublayer", "multi_head_latent_attention"),
    *("cached_llama_attention_sublayer", "post_norm_attention"),
    *("post_norm_feed_forward", "transformer_encoder_block"),
    "transformer_decoder_block",
}

# What looks at the numbers in its arguments, which meta tensors lack.
NEEDS_VALUES = {
    *("decode", "covering_window_starts"),
    *("merge_pairs", "merge_lowest", "has_merge", "merge_all"),
    *("cross_entropy", "smoothed_cross_entropy"),
    *("gpt2_loss", "llama_loss", "transformer_loss"),
    *("part_in_sight", "attend_to_arrival", "gradient_of_arrival"),
    *("ring_round", "ring_walk"),
    # Positions stand where the loops are, on the host.
    *("zigzag_positions", "query_shards", "key_shards"),
}


def sources(file: str) -> tuple[str, str]:
    return tuple(
        Path(side.__path__[0], file).read_text(encoding="utf-8")
        for side in (numpy_ref, torch_impl)
    )


@pytest.mark.parametrize("file", twin_files())
def test_both_sides_take_the_same_named_steps(file):
    assert complaints(file, *sources(file)) == []


def test_what_has_no_twin_is_listed_with_its_reason(capsys):
    for name, reason in WITHOUT_TWIN.items():
        print(f"{name:28} {reason}")
    assert len(capsys.readouterr().out.splitlines()) == 26


def recorded(case):
    """The calls of both sides; neither may change what it was given."""
    before = copy.deepcopy(case.arguments)
    _, ours = record(case.twin.reference, **case.numpy_arguments())
    expect_unchanged("numpy_ref", before, case)
    with torch.no_grad():
        _, theirs = record(case.torch_step(), **case.torch_arguments())
    expect_unchanged("torch_impl", before, case)
    return ours, theirs


def expect_unchanged(side, before, case):
    for name, value in case.arguments.items():
        if not alike(before[name], value):
            raise AssertionError(
                f"{case.twin}: {side} has changed its {name}"
            )


def alike(before, value) -> bool:
    """Equal, and so is all that a tuple or a list holds."""
    if isinstance(value, tuple | list):
        return all(map(alike, before, value))
    return np.array_equal(before, value)


def part_for(twin) -> int:
    """A fifth of all inputs for a model, whose steps are tested, too, and
    a half for a block."""
    if twin.name in BLOCKS:
        return 2
    return 5 if twin.name in MODELS else 1


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_every_named_step_is_equal(twin):
    @given(data=st.data(), dtype=DTYPES)
    @settings(max_examples=examples(part_for(twin)))
    def on_any_input(data, dtype):
        ours, theirs = recorded(data.draw(cases(twin, dtype)))
        precision = precision_of(twin, dtype)
        paths = [[call.path for call in side] for side in (ours, theirs)]
        expect_equal(twin.name, "calls", *paths)
        # The innermost calls first: a failure names the step at fault.
        for comparison in compare(theirs[::-1]):
            expect_holds(f"NumPy and PyTorch, {precision}", comparison)

    on_any_input()


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_every_named_step_has_its_exact_value(twin):
    @given(data=st.data(), dtype=DTYPES)
    @settings(max_examples=examples(2 * part_for(twin)))
    def on_any_input(data, dtype):
        case = data.draw(cases(twin, dtype))
        precision = precision_of(twin, dtype)
        exact = exact_steps(twin.name, case.arguments, case.params, True)
        for side, calls in zip(
            ("NumPy", "PyTorch"), recorded(case), strict=True
        ):
            for comparison in compared_with_exact(calls[0], exact):
                expect_holds(
                    f"{side} and the exact value, {precision}",
                    replace(comparison, sides=(side, "the exact value")),
                )

    on_any_input()


def compared_with_exact(call, exact):
    """Each step of one side's call against its value in fifty digits."""
    for name, value in to_numpy(call.steps).items():
        path = f"{call.path}/{name}"
        yield from with_exact(path, value, exact.get(name))


@pytest.mark.parametrize("twin", TWINS, ids=str)
@given(data=st.data())
@settings(max_examples=1)
def test_no_two_parameters_are_one(twin, data):
    module = data.draw(cases(twin, "float32")).module
    if module is not None:
        names = [name for name, _ in module.named_parameters()]
        assert names == list(module.state_dict())


# Each module, made from these sizes, and what its `forward` gets.
IDS, X = torch.tensor([[0, 2, 1]]), torch.randn(2, 3, 4)
KEEP = torch.ones(2, 2, 3, 3, dtype=torch.bool)
ALL = torch.ones(3, 3, dtype=torch.bool)
KEPT = DropoutMasks(KEEP, ALL[..., :1], ALL[..., :1])
KEPT_OF_ONE = KEPT._replace(weights=KEEP[:1])  # of a batch of one text
ALL_5 = torch.ones(3, 5, dtype=torch.bool)
SOURCE = torch.randn(2, 5, 4)
PAST = torch.randn(2, 2, 2, 2, 2)  # keys and values of two tokens
PASTS = PAST[:, None]
ANGLES = torch.rand(2, 3, 1)  # cosine and sine of one pair
MODULES = {
    "tiled_multi_head_attention": ((4,), (X, ALL, 2, 2)),
    "qk_norm_attention": ((4,), (X, X, X, ALL, 1e-5)),
    "relative_position_bias": ((2, 3), (IDS % 2,)),
    "layer_norm": ((4,), (X, 1e-5)),
    "feed_forward": ((4, 5), (X,)),
    "bert_embedding": ((3, 3, 2, 4), (IDS, IDS % 2, 1e-5)),
    "encoder_block": ((4, 5), (X, ALL, 2, 1e-5)),
    "encoder": ((4, 5, 2), (X, ALL, 2, 1e-5)),
    "bert": ((3, 3, 2, 4, 5, 2), (IDS, IDS % 2, ALL, 2, 1e-5)),
    "pooler": ((4,), (X,)),
    "masked_language_head": ((3, 4), (X, 1e-5)),
    "distil_bert_embedding": ((3, 3, 4), (IDS, 1e-5)),
    "distil_bert": ((3, 3, 4, 5, 2), (IDS, ALL, 2, 1e-5)),
    "albert_embedding": ((3, 3, 2, 5, 4), (IDS, IDS % 2, 1e-5)),
    "encoder_block_tanh": ((4, 5), (X, ALL, 2, 1e-5)),
    "shared_encoder": ((4, 5), (X, ALL, 2, 1e-5, 3)),
    "albert": ((3, 3, 2, 5, 4, 6), (IDS, IDS % 2, ALL, 2, 1e-5, 3)),
    "masked_language_head_tanh": ((3, 5, 4), (X, 1e-5)),
    "feed_forward_tanh": ((4, 5), (X,)),
    "decoder_block": ((4, 5), (X, ALL, 2, 1e-5)),
    "decoder": ((4, 5, 2), (X, ALL, 2, 1e-5)),
    "gpt2": ((3, 3, 4, 5, 2), (IDS, 2, 1e-5)),
    "padded_gpt2": ((3, 3, 4, 5, 2), (IDS, IDS > -1, 2, 1e-5)),
    "decoder_block_with_dropout": ((4, 5), (X, ALL, KEPT, 0.0, 2, 1e-5)),
    "decoder_with_dropout": (
        (4, 5, 2),
        (X, ALL, 2 * (KEPT,), 0.0, 2, 1e-5),
    ),
    "gpt2_loss": (
        (3, 3, 4, 5, 2),
        (
            *(IDS, (IDS + 1) % 3),
            *(Gpt2DropoutMasks(ALL[:, :1], 2 * (KEPT_OF_ONE,)), 0.0),
            *(2, 1e-5, -1),
        ),
    ),
    "open_heads": ((4,), (X, ALL, 2)),
    "open_cross_heads": ((4,), (X, SOURCE, ALL_5, 2)),
    "cross_attention": ((4,), (X, SOURCE, ALL_5, 2)),
    "feed_forward_relu": ((4, 5), (X,)),
    "post_norm_attention": ((4,), (X, SOURCE, ALL_5, 2, 1e-5)),
    "post_norm_feed_forward": ((4, 5), (X, 1e-5)),
    "transformer_embedding": ((3, 4), (IDS,)),
    "transformer_encoder_block": ((4, 5), (X, ALL, 2, 1e-5)),
    "transformer_encoder": ((4, 5, 2), (X, ALL, 2, 1e-5)),
    "transformer_decoder_block": (
        (4, 5),
        (X, SOURCE, ALL, ALL_5, 2, 1e-5),
    ),
    "transformer_decoder": ((4, 5, 2), (X, SOURCE, ALL, ALL_5, 2, 1e-5)),
    "transformer": ((3, 4, 5, 2), (IDS, IDS, IDS > -1, 2, 1e-5)),
    "transformer_loss": (
        (3, 4, 5, 2),
        (IDS, IDS, (IDS + 1) % 3, IDS > -1, 0.1, 2, 1e-5, -1),
    ),
    "attention_sublayer": ((4,), (X, ALL, 2, 1e-5)),
    "attention_sublayer_with_dropout": ((4,), (X, ALL, KEPT, 0.0, 2, 1e-5)),
    "feed_forward_sublayer": ((4, 5), (X, 1e-5)),
    "feed_forward_sublayer_with_dropout": ((4, 5), (X, KEPT, 0.0, 1e-5)),
    "cached_heads": ((4,), (X, *PAST, ALL_5, 2)),
    "cached_attention_sublayer": ((4,), (X, *PAST, ALL_5, 2, 1e-5)),
    "cached_decoder_block": ((4, 5), (X, *PAST, ALL_5, 2, 1e-5)),
    "cached_decoder": ((4, 5, 1), (X, *PASTS, ALL_5, 2, 1e-5)),
    "cached_gpt2": ((3, 5, 4, 5, 1), (IDS, *PASTS[:, :, :1], 2, 1e-5)),
    "projection": ((4, 5), (X,)),
    "rms_norm": ((4,), (X, 1e-5)),
    "swiglu": ((4, 5), (X,)),
    "grouped_query_attention": ((4, 2, 4, 2), (X, ALL, *ANGLES, 4, 2)),
    "open_grouped_heads": ((4, 2, 4, 2), (X, ALL, *ANGLES, 4, 2)),
    "llama_attention_sublayer": (
        (4, 2, 4, 2),
        (X, ALL, *ANGLES, 4, 2, 1e-5),
    ),
    "llama_feed_forward_sublayer": ((4, 5), (X, 1e-5)),
    "llama_block": ((4, 2, 5, 4, 2), (X, ALL, *ANGLES, 4, 2, 1e-5)),
    "llama_decoder": ((4, 2, 5, 4, 2, 2), (X, ALL, *ANGLES, 4, 2, 1e-5)),
    "llama": ((3, 4, 2, 5, 4, 2, 2), (IDS, 4, 2, 2, 3.0, 1e-5)),
    "cached_grouped_heads": (
        (4, 2, 4, 2),
        (X, *PAST, ALL_5, *ANGLES, 4, 2),
    ),
    "cached_llama_attention_sublayer": (
        (4, 2, 4, 2),
        (X, *PAST, ALL_5, *ANGLES, 4, 2, 1e-5),
    ),
    "cached_llama_block": (
        (4, 2, 5, 4, 2),
        (X, *PAST, ALL_5, *ANGLES, 4, 2, 1e-5),
    ),
    "cached_llama_decoder": (
        (4, 2, 5, 4, 2, 1),
        (X, *PASTS, ALL_5, *ANGLES, 4, 2, 1e-5),
    ),
    "cached_llama": (
        (3, 4, 2, 5, 4, 2, 1),
        (IDS, *PASTS[:, :, :1], 4, 2, 3.0, 1e-5),
    ),
    "trained_llama_block": (
        (4, 2, 5, 4, 2),
        (X, ALL, *ANGLES, 4, 2, 1e-5),
    ),
    "trained_llama_decoder": (
        (4, 2, 5, 4, 2, 2),
        (X, ALL, *ANGLES, 4, 2, 1e-5),
    ),
    "llama_loss": (
        (3, 4, 2, 5, 4, 2, 2),
        (IDS, (IDS + 1) % 3, 4, 2, 2, 3.0, 1e-5, -1),
    ),
    "compression": ((4, 3), (X, 1e-5)),
    "multi_head_latent_attention": (
        (4, 4, 5, 3, 2, 2, 2),
        (X, X, ALL, *ANGLES, 2, 1e-5),
    ),
    "split_heads_over_ranks": ((4, 2), (X, ALL, 2)),
    "linear": ((4, 5), (X,)),
    "token_embedding": ((3, 4), (IDS,)),
    "one_hot_embedding": ((3, 4), (IDS,)),
    "position_embedding": ((3, 4), (IDS[0],)),
    "input_embedding": ((3, 3, 4), (IDS,)),
    "matrix_attention": ((4, 5), (X,)),
    "self_attention": ((4, 5), (X,)),
    "causal_attention": ((4, 5), (X, KEEP[:, 0], 0.0)),
    "stacked_heads": ((4, 5, 2), (X, KEEP, 0.0)),
    "multi_head_attention": ((4,), (X, KEEP[0, 0], 2)),
    "multi_head_attention_with_dropout": (
        (4,),
        (X, KEEP[0, 0], KEEP, 0.0, 2),
    ),
}


# What leaves the output layer to the sublayer.
OPEN_HEADS = {
    *("open_heads", "cached_heads"),
    *("open_grouped_heads", "cached_grouped_heads"),
    "open_cross_heads",
}

# What is returned after the first is kept, or shown in the open.
OTHERS_BESIDE = {
    *("attention_sublayer", "cached_attention_sublayer"),
    *("decoder_block_with_dropout", "decoder_with_dropout"),
    *("llama_attention_sublayer", "cached_llama_attention_sublayer"),
    *("trained_llama_block", "trained_llama_decoder"),
    *("post_norm_attention", "transformer_encoder_block"),
    "transformer_decoder_block",
}


def sizes_of(twin) -> list[str]:
    """What the module of a twin is made from, if it is one."""
    is_module = isinstance(twin.torch, type)
    return [*inspect.signature(twin.torch).parameters] if is_module else []


@pytest.mark.parametrize(
    "twin", [t for t in TWINS if isinstance(t.torch, type)], ids=str
)
def test_every_parameter_learns(twin):
    sizes, arguments = MODULES[twin.name]
    expect_to_learn(twin, twin.torch(*sizes), arguments)


@pytest.mark.parametrize(
    "twin", [t for t in TWINS if "key_heads" in sizes_of(t)], ids=str
)
def test_so_does_every_parameter_of_a_qwen_2(twin):
    sizes, arguments = MODULES[twin.name]
    module = with_biases(twin.torch(*sizes))
    assert "key.bias" in " ".join(module.state_dict())
    expect_to_learn(twin, module, arguments)


def expect_to_learn(twin, module, arguments):
    output = module(*arguments)
    if isinstance(output, tuple) and twin.name in OTHERS_BESIDE:
        output = output[0]
    if isinstance(output, list) and hasattr(output[-1], "hidden"):
        output = output[-1].hidden
    output = tensors([output])[-1]
    output.backward(torch.randn(output.shape))
    for name, parameter in module.named_parameters():
        if twin.name in OPEN_HEADS and name.startswith("output"):
            continue  # the sublayer's to call
        assert parameter.grad.isfinite().all(), name
        # A bias of all keys shifts a row of scores, which changes nothing,
        # unless they are turned, each by another angle.
        assert name.endswith("key.bias") or parameter.grad.any(), name


@pytest.mark.parametrize("twin", one_in(4, TWINS), ids=str)
@given(data=st.data())
@settings(max_examples=2)
def test_new_tensors_stand_where_their_input_stands(twin, data):
    case = data.draw(cases(twin, "float32"))
    step, arguments = case.torch_step(), case.torch_arguments()
    expected = step(**arguments)
    if twin.name in NEEDS_VALUES:
        return
    if case.module is not None:
        step = step.to("meta")
    # Where no tensor comes in, a new one stands on the default device.
    default = "cpu" if tensors(list(arguments.values())) else "meta"
    with torch.device(default):
        result = step(
            **{name: to_meta(arguments[name]) for name in arguments}
        )
    for here, there in zip(tensors(result), tensors(expected), strict=True):
        assert here.is_meta
        assert (here.shape, here.dtype) == (there.shape, there.dtype)


def to_meta(value):
    if isinstance(value, list):
        return list(map(to_meta, value))
    if isinstance(value, tuple):
        return tuple_of(type(value), map(to_meta, value))
    return value.to("meta") if isinstance(value, torch.Tensor) else value


def tensors(value) -> list[torch.Tensor]:
    if isinstance(value, list | tuple):
        return [tensor for member in value for tensor in tensors(member)]
    return [value] if isinstance(value, torch.Tensor) else []
