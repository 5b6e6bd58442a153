"""Llama on real weights and on random ones; transformers is the oracle.

Through a whole model errors pile up, and are held as in `test_bert`: in
float64 to 1e-10 of the largest value, of transformers without its casts to
float32; in float32, as it is, our distance from that to four times its.
"""

import tempfile
from collections.abc import Iterator

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from numpy_ref.checkpoints import llama as loader
from numpy_ref.checkpoints.llama import load_llama
from numpy_ref.checkpoints.model_folders import packaged_path
from numpy_ref.parameters import state_dict
from numpy_ref.variants.llama_cache import cached_llama
from parity_tests.oracles.llama import (
    by_name,
    ours,
    random_ids,
    random_oracle,
    theirs,
    without_float32,
)

from .test_bert import expect_as_the_oracle

TIED, UNTIED = {"tie_word_embeddings": True}, {"tie_word_embeddings": False}
MODELS = {
    "Llama": ("Llama", UNTIED),
    "tied": ("Llama", TIED),
    "one key head": ("Llama", UNTIED | {"num_key_value_heads": 1}),
    "as many key heads": ("Llama", UNTIED | {"num_key_value_heads": 6}),
    "d_head not given": ("Llama", UNTIED | {"head_dim": None}),
    "Mistral": ("Mistral", UNTIED | {"sliding_window": None}),
    "Qwen 2": ("Qwen2", UNTIED),
    "Qwen 2, tied": ("Qwen2", TIED),
}


def saved(folder, name: str):
    """transformers' model of that name, saved to a folder by it."""
    kind, changes = MODELS[name]
    return random_oracle(folder, kind, **changes)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_transformers_at_every_layer_and_head(tmp_path, name):
    oracle, ids = saved(tmp_path, name), random_ids(2, 17)
    with without_float32(oracle):
        exact = theirs(oracle, ids)
    our_run = ours(load_llama(tmp_path, "float64"), ids)
    assert len(our_run) == 2 + 3 * 5
    assert our_run["2/weights"].shape == (2, 6, 17, 17)
    assert our_run["2/weights"].max() > 0.9
    expect_as_the_oracle("float64", our_run, exact, exact)
    our_run = ours(load_llama(tmp_path, "float32"), ids)
    oracle_run = theirs(oracle.to(torch.float32), ids)
    expect_as_the_oracle("float32", our_run, oracle_run, exact)


def test_the_casts_are_what_parts_us_from_transformers(tmp_path):
    """With them, even in float64, it is off by what float32 rounds."""
    oracle, ids = random_oracle(tmp_path), random_ids(2, 17)
    with without_float32(oracle):
        exact = theirs(oracle, ids)["logits"]
    distance = abs(theirs(oracle, ids)["logits"] - exact).max()
    assert 1e-9 < distance / abs(exact).max() < 1e-4


@pytest.mark.parametrize("name", ["Llama", "tied", "Qwen 2"])
def test_with_a_cache_it_is_the_same(tmp_path, name):
    """Beside the whole text, and beside transformers with its own cache."""
    oracle, ids = saved(tmp_path, name), random_ids(2, 12)
    checkpoint = load_llama(tmp_path, "float64")
    config, whole = checkpoint.config, ours(checkpoint, ids)
    cache, begin = DynamicCache(config=oracle.config), 0
    past = np.zeros((2, 3, 2, config.key_heads, 0, config.d_head))
    for end in (5, 6, 10, 12):
        new = ids[:, begin:end]
        layers, logits = cached_llama(
            *(new, past[0], past[1], checkpoint.model, config.heads),
            *(config.key_heads, config.base, config.epsilon),
        )
        with without_float32(oracle):
            exact = theirs(oracle, new, cache)
        exact["logits"] = exact["logits"][:, -1]
        our_run = {**by_name(layers), "logits": logits}
        expect_as_the_oracle("float64", our_run, exact, exact)
        expected = whole["logits"][:, end - 1]
        distance = abs(logits - expected).max()
        assert distance <= 1e-10 * abs(expected).max()
        kept = [[layer.key, layer.value] for layer in layers]
        past = np.concatenate(
            [past, np.stack(kept).swapaxes(0, 1)], axis=-2
        )
        begin = end


@st.composite
def random_sizes(draw):
    """A small configuration: heads in any groups, of any even width."""
    key_heads, d_head = draw(st.integers(1, 3)), 2 * draw(st.integers(1, 4))
    heads = key_heads * draw(st.integers(1, 3))
    base = draw(st.sampled_from([3.0, 10_000.0, 1e6]))
    return {
        "vocab_size": draw(st.integers(31, 40)),
        "hidden_size": heads * draw(st.integers(1, 5)),
        "intermediate_size": draw(st.integers(1, 20)),
        "num_hidden_layers": draw(st.integers(1, 3)),
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "head_dim": d_head,
        "rms_norm_eps": draw(st.sampled_from([1e-6, 1e-5, 0.1])),
        "rope_parameters": {"rope_type": "default", "rope_theta": base},
        "tie_word_embeddings": draw(st.booleans()),
    }


@given(
    kind=st.sampled_from(["Llama", "Qwen2", "Mistral"]),
    sizes=random_sizes(),
    width=st.integers(1, 9),
)
@settings(max_examples=settings().max_examples * 3 // 5)
def test_any_small_model_is_transformers(kind, sizes, width):
    """In float64 only: a yardstick needs more numbers than these have."""
    if kind == "Mistral":
        sizes = sizes | {"sliding_window": None}
    ids = random_ids(2, width)
    with tempfile.TemporaryDirectory() as folder:
        oracle = random_oracle(folder, kind, **sizes)
        our_run = ours(load_llama(folder, "float64"), ids)
    with without_float32(oracle):
        exact = theirs(oracle, ids)
    expect_as_the_oracle("float64", our_run, exact, exact)


# --- SmolLM2 -------------------------------------------------------------

SMOLLM2 = packaged_path("smollm2")
# "The capital of France is", and then anything.
PROMPT = [504, 3575, 282, 4649, 314]
IDS = [*PROMPT, *np.random.default_rng(0).integers(0, 49152, 15).tolist()]


def smollm2_oracle() -> LlamaForCausalLM:
    """transformers' SmolLM2, its weights as `gguf` reads them.

    Its sizes are those that its authors give. The rows of queries and
    keys are put back in order one by one.
    """
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        # The GGUF has a float32.
        rms_norm_eps=float(np.float32(1e-5)),
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config).eval()
    stored = {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type)
        for tensor in gguf.GGUFReader(SMOLLM2).tensors
    }
    halves = [*range(0, 64, 2), *range(1, 64, 2)]
    weights = {}
    for name in model.state_dict():
        if name == "lm_head.weight":
            continue
        rows = stored.pop(gguf_name(name))
        if ".q_proj." in name or ".k_proj." in name:
            heads = range(0, len(rows), 64)
            rows = rows[[head + row for head in heads for row in halves]]
        weights[name] = torch.tensor(rows)
    assert not stored
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return model


@pytest.mark.slow
def test_smollm2_is_transformers_at_every_layer_and_head(capsys):
    oracle, ids = smollm2_oracle(), np.array([IDS])
    with without_float32(oracle.double()):
        exact = theirs(oracle, ids)
    our_run = ours(load_llama(SMOLLM2, "float64"), ids)
    assert our_run["29/weights"].shape == (1, 9, 20, 20)
    with capsys.disabled():
        print("\n", *table(our_run, exact), sep="\n")
    expect_as_the_oracle("float64", our_run, exact, exact)
    assert heads_apart(our_run, exact).max() <= 1e-10


@pytest.mark.slow
def test_smollm2_strays_no_further_than_transformers_in_float32():
    """On several texts: in one, a state has a single number that is huge,
    and the distance is how that one happened to be rounded.
    """
    oracle = smollm2_oracle()
    texts = np.random.default_rng(0).integers(0, 49152, (8, 10))
    oracle_run = theirs(oracle, texts)
    with without_float32(oracle.double()):
        exact = theirs(oracle, texts)
    our_run = ours(load_llama(SMOLLM2), texts)
    expect_as_the_oracle("float32", our_run, oracle_run, exact)


def heads_apart(our_run, exact) -> np.ndarray:
    """The largest difference in each head of each layer.

    Of its query, key, value and weights, each as a share of its largest.
    """
    shares = []
    for part in ("query", "key", "value", "weights"):
        layers = [f"{index}/{part}" for index in range(30)]
        ours, theirs = (
            np.stack([run[layer][0] for layer in layers])
            for run in (our_run, exact)
        )
        share = abs(ours - theirs).max((-1, -2)) / abs(theirs).max((-1, -2))
        shares.append(share.repeat(9 // share.shape[1], axis=1))
    return np.max(shares, axis=0)


def table(our_run, exact) -> Iterator[str]:
    """Layers by heads, and the hidden state behind each layer."""
    heads = " ".join(f"{f'head {head}':>7}" for head in range(9))
    yield f"largest difference, float64\nlayer {heads}  hidden"
    for index, row in enumerate(heads_apart(our_run, exact)):
        hidden = exact[f"{index}/hidden"]
        off = abs(our_run[f"{index}/hidden"] - hidden).max()
        shares = [*row, off / abs(hidden).max()]
        yield f"{index:5} " + " ".join(f"{share:7.1e}" for share in shares)
    distance = abs(our_run["logits"] - exact["logits"]).max()
    largest = abs(exact["logits"]).max()
    yield f"logits {distance / largest:.1e} of {largest:.1f}"


# --- the other pairing ---------------------------------------------------

LAYERS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OTHERS = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def gguf_name(name: str) -> str:
    """The name that a tensor of transformers has in a GGUF."""
    if name in OTHERS:
        return OTHERS[name]
    _, _, block, layer = name.removesuffix(".weight").split(".", 3)
    return f"blk.{block}.{LAYERS[layer]}.weight"


def by_neighbours(rows: np.ndarray, d_head: int) -> np.ndarray:
    """Rows by halves, (0, d/2), (1, d/2 + 1) ..., as (0, 1), (2, 3) ...

    Row by row, which is another way than the loader's.
    """
    order = []
    for head in range(0, len(rows), d_head):
        for pair in range(d_head // 2):
            order += [head + pair, head + pair + d_head // 2]
    return rows[order]


def values_of(config) -> dict[str, object]:
    """A configuration of transformers as the values of a GGUF."""
    return {
        "vocab_size": config.vocab_size,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "block_count": config.num_hidden_layers,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "rope.dimension_count": config.head_dim,
        "rope.freq_base": config.rope_parameters["rope_theta"],
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
    }


def write_llama(path, model, architecture="llama", kind="F32", **changes):
    """A GGUF of a model of transformers, as converters write it.

    `changes` are values that differ, by their names with _ for a dot; one
    that is None is left out. `kind` is the quantisation of all matrices.
    """
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in (values_of(model.config) | changes).items():
        key = f"llama.{name}"
        if isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
    tied = model.config.tie_word_embeddings
    for name, tensor in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        rows = tensor.float().numpy()
        if ".q_proj." in name or ".k_proj." in name:
            rows = by_neighbours(rows, model.config.head_dim)
        own = kind if rows.ndim == 2 else "F32"
        quantisation = gguf.GGMLQuantizationType[own]
        writer.add_tensor(
            gguf_name(name),
            gguf.quantize(rows, quantisation),
            raw_dtype=quantisation,
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("changes", [UNTIED, TIED])
def test_weights_of_both_pairings_give_the_same_numbers(tmp_path, changes):
    oracle, ids = random_oracle(tmp_path, **changes), random_ids(2, 17)
    epsilon = float(np.float32(1e-5))
    path = write_llama(tmp_path / "model.gguf", oracle)
    folder, file = load_llama(tmp_path), load_llama(path)
    assert vars(file.config) == vars(folder.config) | {"epsilon": epsilon}
    arrays = state_dict(folder.model)
    for name, array in state_dict(file.model).items():
        np.testing.assert_array_equal(array, arrays[name])
    for norm in oracle.modules():
        if hasattr(norm, "variance_epsilon"):
            norm.variance_epsilon = epsilon
    with without_float32(oracle):
        exact = theirs(oracle, ids)
    our_run = ours(load_llama(path, "float64"), ids)
    expect_as_the_oracle("float64", our_run, exact, exact)


def test_with_the_wrong_pairing_nothing_fails_but_the_numbers(
    tmp_path, monkeypatch
):
    """What the test above would see, had the loader turned nothing back."""
    oracle, ids = random_oracle(tmp_path), random_ids(2, 17)
    path = write_llama(tmp_path / "model.gguf", oracle)
    right = ours(load_llama(path, "float64"), ids)
    unturned = [n._replace(neighbours=False) for n in loader.GGUF_NAMES]
    monkeypatch.setattr(loader, "GGUF_NAMES", unturned)
    wrong = ours(load_llama(path, "float64"), ids)
    for name, tolerance in (("0/value", 0), ("0/weights", 0.1)):
        distance = abs(wrong[name] - right[name]).max()
        assert (distance > tolerance) == (name == "0/weights")
