"""From the sample text to the output, each side on its own.

Here errors do pile up, and a bound composed of worst cases would say
nothing. So float64 is held to 1e-10 of the largest value; and in float32
our distance from the float64 result is at most four times PyTorch's own
(a yardstick, not a theorem: the sums are ordered differently).
"""

import numpy as np
import pytest
import torch

from numpy_ref import embeddings, masks, multi_head, windows
from numpy_ref import word_tokenizer as words
from numpy_ref.parameters import from_state_dict
from parity_tests.twins.replaying import to_numpy
from study.text.corpus import sample
from study.walk.run import layers
from study.walk.settings import Settings

LENGTH = 16
TEXT = sample()
VOCABULARY = words.build_vocabulary(words.split_words(TEXT))


def outputs(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """NumPy's and PyTorch's, from the same text and the same weights."""
    settings = Settings(d_model=48, heads=4, dtype=dtype)
    embed, attend = layers(len(VOCABULARY), LENGTH, settings)
    ids = words.encode(TEXT, VOCABULARY)
    starts = windows.window_starts(len(ids), LENGTH, LENGTH)
    inputs, _ = windows.windows(ids, starts, LENGTH)
    mask = masks.causal_mask(LENGTH, LENGTH)
    with torch.no_grad():
        theirs = attend(embed(torch.tensor(inputs)), torch.tensor(mask), 4)
    tables, weights = (
        from_state_dict(kind, to_numpy(module.state_dict()))
        for kind, module in (
            (embeddings.InputEmbedding, embed),
            (multi_head.MultiHeadAttention, attend),
        )
    )
    x = embeddings.input_embedding(inputs, tables)
    ours = multi_head.multi_head_attention(x, weights, mask, 4)
    return ours, theirs.numpy()


def test_in_float64_both_sides_end_at_the_same_place():
    ours, theirs = outputs("float64")
    assert ours.dtype == theirs.dtype == np.float64
    assert abs(ours - theirs).max() <= 1e-10 * abs(theirs).max()


def test_in_float32_we_stray_no_further_than_pytorch_does():
    ours, theirs = outputs("float32")
    assert ours.dtype == theirs.dtype == np.float32
    exact, _ = outputs("float64")  # from the same, single weights
    our_distance = abs(ours - exact).max()
    their_distance = abs(theirs - exact).max()
    assert 0 < our_distance <= 4 * their_distance


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_output_is_not_all_alike(dtype):
    ours, _ = outputs(dtype)
    assert ours.std() > 0.1
