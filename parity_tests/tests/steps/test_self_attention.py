import numpy as np

from numpy_ref import self_attention
from parity_tests.exact import exact_steps
from parity_tests.twins.comparing import within


def test_attention_without_weights_is_a_mean_by_similarity():
    x = np.log(2) ** 0.5 * np.array([[1.0, 0.0], [1.0, 1.0]])
    by_hand = np.array([[1 / 2, 1 / 2], [1 / 3, 2 / 3]]) @ x
    exact = exact_steps("simple_attention", {"x": x})["context"]
    context = self_attention.simple_attention(x)
    assert within("context", context, by_hand, 2 * exact.error).holds
