"""A state_dict crosses between the twins by its dotted names."""

from dataclasses import is_dataclass

import numpy as np
import pytest
import torch

from numpy_ref import (
    bert,
    embeddings,
    gpt2,
    layers,
    multi_head,
    self_attention,
)
from numpy_ref.parameters import from_state_dict, state_dict
from numpy_ref.variants import llama
from parity_tests.twins.replaying import to_numpy
from torch_impl import bert as torch_bert
from torch_impl import multi_head as torch_multi_head
from torch_impl import self_attention as torch_self_attention
from torch_impl.variants import llama as torch_llama
from torch_impl.variants.qwen2 import with_biases

KINDS = {
    "MatrixAttention": (self_attention, torch_self_attention, (4, 3)),
    "SelfAttention": (self_attention, torch_self_attention, (4, 3)),
    "StackedHeads": (multi_head, torch_multi_head, (4, 3, 12)),
    "MultiHeadAttention": (multi_head, torch_multi_head, (4,)),
    "Bert": (bert, torch_bert, (9, 8, 2, 4, 5, 11)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_dict_goes_out_and_back_unchanged(kind):
    ours, theirs, sizes = KINDS[kind]
    there = getattr(theirs, kind)(*sizes)
    sent = to_numpy(there.state_dict())
    params = from_state_dict(getattr(ours, kind), sent)
    returned = state_dict(params)
    assert list(returned) == list(sent)
    other = getattr(theirs, kind)(*sizes)
    other.load_state_dict({n: torch.tensor(a) for n, a in returned.items()})
    for name, array in to_numpy(other.state_dict()).items():
        np.testing.assert_array_equal(array, sent[name])


@pytest.mark.parametrize("biased", [False, True])
def test_a_layer_has_a_bias_where_the_arrays_have_one(biased):
    there = torch_llama.Llama(7, 6, 4, 5, 2, 1, 2)
    sent = to_numpy((with_biases(there) if biased else there).state_dict())
    params = from_state_dict(llama.Llama, sent)
    assert list(state_dict(params)) == list(sent)
    attention = params.decoder.blocks[1].attention_sublayer.attention
    for name in ("query", "key", "value", "output"):
        layer = getattr(attention, name)
        expected = biased and name != "output"
        assert isinstance(layer, layers.Linear) == expected


def test_a_missing_array_is_named():
    arrays = to_numpy(torch_self_attention.SelfAttention(4, 3).state_dict())
    del arrays["key.bias"]
    with pytest.raises(ValueError, match=r"an array named key\.bias, got"):
        from_state_dict(self_attention.SelfAttention, arrays)


def test_an_array_too_many_is_named():
    arrays = to_numpy(torch_self_attention.SelfAttention(4, 3).state_dict())
    arrays["gate.bias"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"got also gate\.bias"):
        from_state_dict(self_attention.SelfAttention, arrays)


def test_a_head_that_is_missing_is_named():
    arrays = to_numpy(torch_multi_head.StackedHeads(4, 3, 2).state_dict())
    for name in [name for name in arrays if name.startswith("heads.0.")]:
        del arrays[name]
    with pytest.raises(ValueError, match=r"named heads\.0\.query\.weight"):
        from_state_dict(multi_head.StackedHeads, arrays)


@pytest.mark.parametrize(
    "module",
    [bert, embeddings, gpt2, layers, multi_head, self_attention],
    ids=lambda module: module.__name__,
)
def test_parameters_do_not_change_and_are_compared_as_what_they_are(module):
    kinds = [
        kind
        for kind in vars(module).values()
        if is_dataclass(kind) and kind.__module__ == module.__name__
    ]
    assert kinds
    for kind in kinds:
        options = kind.__dataclass_params__
        assert (options.frozen, options.eq) == (True, False), kind
