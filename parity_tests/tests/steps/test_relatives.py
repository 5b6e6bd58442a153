"""RoBERTa, DistilBERT and ALBERT; transformers is the oracle.

Small ones that transformers makes, saves and reads, with random weights
large enough that attention is far from uniform. Through a whole model
errors pile up, and are held as in `test_bert`. The twins and each of
their steps are held by `test_bert_walk`.
"""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from numpy_ref.checkpoints.bert import load_bert, run_model
from parity_tests.oracles.bert import Batch, oracle_model, ours, theirs

from .test_bert import expect_as_the_oracle

SIZES = {
    "vocab_size": 31,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "max_position_embeddings": 23,
}
ROBERTA = {**SIZES, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
DISTILBERT = {
    "vocab_size": 31,
    "dim": 48,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 80,
    "max_position_embeddings": 23,
}
ALBERT = {**SIZES, "embedding_size": 17}

# A configuration of transformers, its fields, and a model of each kind.
RELATIVES = {
    "roberta": ("Roberta", ROBERTA),
    "xlm-roberta": ("XLMRoberta", ROBERTA),
    "camembert": ("Camembert", {**ROBERTA, "type_vocab_size": 2}),
    "roberta, padding 4": ("Roberta", {**ROBERTA, "pad_token_id": 4}),
    "distilbert": ("DistilBert", DISTILBERT),
    "distilbert, sines": (
        "DistilBert",
        {**DISTILBERT, "sinusoidal_pos_embds": True},
    ),
    "albert": ("Albert", ALBERT),
}
# Of one architecture, differing from it in a name or a number alone.
VARIANTS = ("xlm-roberta", "camembert", "roberta, padding 4")


def marks(relative: str, kind: str):
    """A model without a head is the same up to its head."""
    is_like_another = relative in VARIANTS or kind == "Model"
    return pytest.mark.slow if is_like_another else ()


MODELS = [
    pytest.param(relative, kind, marks=marks(relative, kind))
    for relative in RELATIVES
    for kind in ("ForMaskedLM", "Model")
]


def save_relative(folder, relative: str, kind: str = "Model", **changes):
    """A folder as transformers writes it; all but sines is random."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files_of(relative, kind, **changes).items():
        (folder / name).write_bytes(content)
    return folder


@cache
def files_of(relative: str, kind: str, **changes) -> dict[str, bytes]:
    """What transformers writes, made once for all tests."""
    name, fields = RELATIVES[relative]
    config = getattr(transformers, f"{name}Config")(**fields | changes)
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}{kind}")(config)
    sines = getattr(config, "sinusoidal_pos_embds", False)
    for parameter_name, parameter in model.named_parameters():
        if not (sines and "position" in parameter_name):
            parameter.data += 0.5 * torch.randn(parameter.shape)
    model.tie_weights()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return {p.name: p.read_bytes() for p in Path(folder).iterdir()}


def texts(padding: int) -> Batch:
    """Texts of different lengths; after their ends, any token but padding.

    With its padding token a RoBERTa has other states there, which no
    token of a text sees.
    """
    rng = np.random.default_rng(0)
    ids = rng.integers(padding + 1, 31, (3, 17))
    return Batch(ids, rng.integers(0, 2, ids.shape), np.array([17, 5, 9]))


@pytest.mark.parametrize(("relative", "kind"), MODELS)
def test_a_relative_is_transformers_at_every_layer_and_head(
    tmp_path, relative, kind
):
    folder = save_relative(tmp_path, relative, kind)
    name = f"{RELATIVES[relative][0]}{kind}"
    model = oracle_model(name, folder, "float32")
    runs = {}
    for dtype in ("float64", "float32"):
        checkpoint = load_bert(folder, dtype)
        batch = texts(checkpoint.config.padding or 0)
        oracle = model.to(getattr(torch, dtype))
        runs[dtype] = ours(checkpoint, batch), theirs(oracle, batch)
        expect_as_the_oracle(dtype, *runs[dtype], runs["float64"][1])
    assert len(runs["float64"][0]) >= 1 + 3 * 5
    assert runs["float64"][0]["2/weights"].shape == (3, 4, 17, 17)
    assert runs["float64"][0]["2/weights"].max() > 0.5


def test_padding_moves_no_position_of_a_roberta(tmp_path):
    """The ids of real padding: what no token of a text sees differs."""
    folder = save_relative(tmp_path, "roberta")
    checkpoint, batch = load_bert(folder, "float64"), texts(1)
    outside = np.arange(17) >= batch.lengths[:, None]
    batch = batch._replace(ids=np.where(outside, 1, batch.ids))
    model = oracle_model("RobertaModel", folder, "float64")
    our_run, oracle_run = ours(checkpoint, batch), theirs(model, batch)
    for name in ("x", "2/hidden"):
        expected = oracle_run[name][~outside]
        distance = abs(our_run[name][~outside] - expected).max()
        assert distance <= 1e-10 * abs(expected).max()
    assert abs(our_run["x"] - oracle_run["x"])[outside].max() > 0.01


def test_padding_in_a_text_of_a_roberta_is_refused(tmp_path):
    checkpoint, batch = (
        load_bert(save_relative(tmp_path, "roberta")),
        texts(1),
    )
    ids = batch.ids.copy()
    ids[1, 3] = 1
    message = "without the padding token of a RoBERTa, id 1, .* got one"
    with pytest.raises(ValueError, match=message):
        ours(checkpoint, batch._replace(ids=ids))
    mask = np.ones((1, 1), bool)
    other = load_bert(save_relative(tmp_path, "albert"))
    run_model(other, ids, batch.segments, mask)  # where it is any token


def test_as_many_tokens_fit_as_a_roberta_has_positions(tmp_path):
    checkpoint = load_bert(save_relative(tmp_path, "roberta"))
    assert checkpoint.config.positions == 23 - 2
    mask = np.ones((1, 1), bool)
    ids = np.full((1, 22), 5)
    run_model(checkpoint, ids[:, :21], 0 * ids[:, :21], mask)
    with pytest.raises(ValueError, match="from 0 to 20, got 21"):
        run_model(checkpoint, ids, 0 * ids, mask)
