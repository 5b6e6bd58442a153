"""Prefill on threads, held to the models that read with a cache."""

import numpy as np
import pytest

from numpy_ref.checkpoints.gpt2_config import Gpt2Config
from numpy_ref.checkpoints.llama_config import LlamaConfig
from numpy_ref.fast import attention_on_threads, prefill
from numpy_ref.fast.prefill import on_threads
from numpy_ref.fast.threads import blas, results_on_threads
from numpy_ref.parameters import from_state_dict, state_dict
from numpy_ref.training.architectures import ARCHITECTURES

SIZES = {"vocabulary": 31, "positions": 24, "layers": 3, "heads": 4}
SIZES |= {"d_model": 16, "d_ff": 24, "epsilon": 1e-5}
LLAMA = {"key_heads": 2, "d_head": 6, "base": 100.0, "biased": True}
CONFIGS = {
    "gpt2": Gpt2Config(**SIZES),
    "llama": LlamaConfig(**SIZES, **LLAMA),
}
IDS = np.random.default_rng(0).integers(0, 31, 24)


@pytest.fixture(params=[*CONFIGS])
def decoding(request, monkeypatch):
    """Makes a model of random weights, always the same. Rows and tiles
    are so small that a few tokens fill many."""
    monkeypatch.setattr(prefill, "ROWS", 5)
    monkeypatch.setattr(attention_on_threads, "TILE", (3, 4))
    architecture = ARCHITECTURES[request.param]
    config = CONFIGS[request.param]

    def made(dtype: str = "float64"):
        rng = np.random.default_rng(1)
        arrays = state_dict(architecture.initial(config, rng, "float64"))
        drawn = {
            name: rng.normal(scale=array.size**-0.25, size=array.shape)
            for name, array in arrays.items()
        }
        cast = {name: array.astype(dtype) for name, array in drawn.items()}
        params = from_state_dict(architecture.parameters, cast)
        return architecture.decoding(params, config, config.positions)

    return made


def read(decoding, parts: list[int]) -> dict[str, np.ndarray]:
    """What is kept of all tokens, and the logits after the last."""
    for ids in np.split(IDS, np.cumsum(parts)[:-1]):
        logits = decoding.read(ids)
    keys, values = decoding.cache.past
    return {"keys": keys, "values": values, "logits": logits}


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("parts", [[24], [2, 22], [7, 1, 16]], ids=str)
def test_it_gives_what_the_cached_model_gives(decoding, parts, workers):
    ours = read(on_threads(decoding(), workers), parts)
    for name, expected in read(decoding(), parts).items():
        distance = abs(ours[name] - expected).max()
        assert distance <= 1e-10 * abs(expected).max(), name


def test_so_it_does_in_float32_by_the_yardstick(decoding):
    """Four times as far from float64 as that model, at most."""
    exact = read(decoding(), [24])
    plain = read(decoding("float32"), [24])
    ours = read(on_threads(decoding("float32"), 2), [24])
    for name, expected in exact.items():
        assert ours[name].dtype == np.float32
        allowed = 4 * abs(plain[name] - expected).max()
        assert abs(ours[name] - expected).max() <= allowed, name


def test_several_tokens_go_to_the_threads_and_one_does_not(
    decoding, monkeypatch
):
    asked = []

    def watched(*arguments):
        asked.append(arguments[-1])
        return attend(*arguments)

    attend = prefill.attend
    monkeypatch.setattr(prefill, "attend", watched)
    read(on_threads(decoding(), 2), [7, 1, 16])
    assert asked == [2] * 3 * 2  # three layers, two of the three parts


def test_what_was_read_before_stays_read(decoding):
    begun = decoding()
    begun.read(IDS[:9])
    faster = on_threads(begun, 2)
    assert faster.unread(IDS).tolist() == IDS[9:].tolist()
    expected = read(decoding(), [24])["logits"]
    logits = faster.read(IDS[9:])
    assert abs(logits - expected).max() <= 1e-10 * abs(expected).max()


def test_what_is_wrong_is_said(decoding):
    with pytest.raises(ValueError, match=r"workers.* at least 1, got 0"):
        on_threads(decoding(), 0)
    with pytest.raises(ValueError, match="31"):
        on_threads(decoding(), 2).read(np.array([3, 31]))


def test_results_come_in_the_order_of_the_pieces_from_one_blas_thread():
    def squared(number: int) -> tuple[int, set[int]]:
        info = blas().select(user_api="blas").info()
        return number**2, {library["num_threads"] for library in info}

    results = results_on_threads(squared, [3, 1, 2], 2)
    assert results == [(9, {1}), (1, {1}), (4, {1})]
