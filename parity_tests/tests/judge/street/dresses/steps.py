"""Steps in three dresses: other arguments, another library, a class."""

from parity_tests.tests.judge.street.dresses.bugs import (
    joined,
    private,
    thing_of,
)
from parity_tests.tests.judge.street.dresses.translating import in_torch

# For each step: what is added, and whether NumPy becomes PyTorch before.
ADDED: dict[str, dict[str, tuple[str, bool]]] = {
    "layer_norm": {
        "gain_and_bias": (
            '''
from types import SimpleNamespace


def layer_norm(x, g, b, eps=1e-5):
    """Gain and bias are two arrays."""
    return _layer_norm(x, SimpleNamespace(weight=g, bias=b), eps)
''',
            False,
        ),
        "torch_function": (
            '''
from types import SimpleNamespace


def layer_norm(x, eps, gamma, beta):
    """For tensors; eps stands before gamma and beta."""
    params = SimpleNamespace(weight=gamma, bias=beta)
    return _layer_norm(x, params, eps)
''',
            True,
        ),
        "torch_layer": (
            """
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.eps = eps

    def forward(self, x):
        return _layer_norm(x, self, self.eps)
""",
            True,
        ),
    },
    "rms_norm": {
        "weight_and_eps": (
            '''
from types import SimpleNamespace


def rms_norm(x, weight, eps=1e-5):
    """The weight alone, of (features)."""
    return _rms_norm(x, SimpleNamespace(weight=weight), eps)
''',
            False,
        ),
        "torch_function": (
            '''
from types import SimpleNamespace


def rms_norm(x, eps, gamma):
    """For tensors; eps stands before gamma."""
    return _rms_norm(x, SimpleNamespace(weight=gamma), eps)
''',
            True,
        ),
        "torch_layer": (
            """
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return _rms_norm(x, self, self.eps)
""",
            True,
        ),
    },
    "swiglu": {
        "three_matrices": (
            '''
from types import SimpleNamespace


def swiglu(x, w1, w2, w3):
    """w1 is the gate, w2 leads back; each is (out, in)."""
    layers = zip(("gate", "down", "up"), (w1, w2, w3))
    params = {n: SimpleNamespace(weight=w) for n, w in layers}
    return _swiglu(x, SimpleNamespace(**params))
''',
            False,
        ),
        "torch_layer": (
            """
from torch import nn


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden_dim):
        super().__init__()
        self.gate = nn.Linear(dim, hidden_dim, bias=False)
        self.up = nn.Linear(dim, hidden_dim, bias=False)
        self.down = nn.Linear(hidden_dim, dim, bias=False)

    def forward(self, x):
        return _swiglu(x, self)
""",
            True,
        ),
        "numpy_class": (
            '''
from types import SimpleNamespace


class SwiGLU:
    """Matrices of (in, out)."""

    def __init__(self, d_model, d_ff):
        self.w_gate = np.zeros((d_model, d_ff))
        self.w_up = np.zeros((d_model, d_ff))
        self.w_down = np.zeros((d_ff, d_model))

    def forward(self, x):
        of = {
            "gate": self.w_gate.T,
            "up": self.w_up.T,
            "down": self.w_down.T,
        }
        params = {n: SimpleNamespace(weight=w) for n, w in of.items()}
        return _swiglu(x, SimpleNamespace(**params))
''',
            False,
        ),
    },
    "apply_rope": {
        "queries_and_keys": (
            '''
def apply_rotary_pos_emb(q, k, cos, sin):
    """Both, of (batch, heads, tokens, features)."""
    return _apply_rope(q, cos, sin), _apply_rope(k, cos, sin)
''',
            False,
        ),
        "torch_function": (
            '''
import torch


def apply_rope(x: torch.Tensor, cos, sin):
    """A tensor of (batch, heads, tokens, features)."""
    parts = (np.asarray(part) for part in (x, cos, sin))
    return torch.as_tensor(_apply_rope(*parts))
''',
            False,
        ),
        "numpy_class": (
            '''
class RotaryEmbedding:
    def __init__(self, dim, base=10000.0):
        self.dim, self.base = dim, base

    def forward(self, x):
        """x: (batch, heads, tokens, dim)"""
        table = rope_table(x.shape[-2], self.dim, self.base)
        return _apply_rope(x, *table)
''',
            False,
        ),
    },
    "rope": {
        "from_a_start": (
            '''
def rope(x, start_pos=0):
    """Tokens that stand from start_pos on."""
    return _rope(x, start_pos + np.arange(x.shape[-2]))
''',
            False,
        ),
        "torch_function": (
            '''
import torch


def apply_rotary(x: torch.Tensor, position_ids):
    """A tensor of (batch, heads, tokens, features)."""
    turned = _rope(np.asarray(x), np.asarray(position_ids))
    return torch.as_tensor(turned)
''',
            False,
        ),
        "numpy_class": (
            """
class RotaryPositionalEmbedding:
    def __init__(self, d_k):
        self.d_k = d_k

    def __call__(self, x, token_positions):
        return _rope(x, token_positions)
""",
            False,
        ),
    },
    "repeat_kv": {
        "torch_function": (
            '''
def repeat_kv(hidden_states, n_rep):
    """A tensor of (batch, key heads, tokens, features)."""
    return _repeat_kv(hidden_states, n_rep)
''',
            True,
        ),
        "positions_first": (
            '''
def repeat_kv(x, n_rep):
    """(batch, tokens, key heads, features), as in Meta's code."""
    return _repeat_kv(x.swapaxes(1, 2), n_rep).swapaxes(1, 2)
''',
            False,
        ),
        "group_size": (
            '''
def repeat_kv_heads(kv, group_size):
    """group_size is how many queries share a key head."""
    return _repeat_kv(kv, group_size)
''',
            False,
        ),
    },
    "cross_entropy": {
        "targets_first": (
            '''
def cross_entropy(targets, logits, ignore_index=-100):
    """The targets come first, and what is ignored has a default."""
    return _cross_entropy(logits, targets, ignore_index)
''',
            False,
        ),
        "torch_function": (
            '''
def cross_entropy(logits, labels, ignore_index=-100):
    """logits (batch, tokens, vocabulary), labels (batch, tokens)"""
    return _cross_entropy(logits, labels, ignore_index)
''',
            True,
        ),
        "a_number": (
            '''
def cross_entropy(logits, y, pad_id):
    """Of nested lists, as a plain number."""
    logits, y = np.asarray(logits, dtype=float), np.asarray(y)
    return float(_cross_entropy(logits, y, pad_id))
''',
            False,
        ),
    },
    "causal_mask": {
        "torch_function": (
            '''
def causal_mask(n_queries, n_keys, n_past=0):
    """A tensor, True where a key may be seen."""
    return _causal_mask(n_queries, n_keys, n_past)
''',
            True,
        ),
        "past_first": (
            '''
def causal_mask(past, queries, keys):
    """1.0 where a key may be seen, else 0.0; the past comes first."""
    return _causal_mask(queries, keys, past).astype(float)
''',
            False,
        ),
        "added": (
            '''
def causal_mask(queries, keys, past=0):
    """To be added to scores: 0 where a key may be seen, else -inf."""
    seen = _causal_mask(queries, keys, past)
    return np.where(seen, 0.0, -np.inf)
''',
            False,
        ),
    },
    "sliding_window_mask": {
        "torch_function": (
            '''
def sliding_window_mask(n_queries, n_keys, window_size, n_past=0):
    """A tensor, True for the last window_size keys."""
    return _sliding_window_mask(n_queries, n_keys, window_size, n_past)
''',
            True,
        ),
        "window_first": (
            '''
def sliding_window_mask(window, queries, keys, past=0):
    """1.0 for the last `window` keys, else 0.0; the window comes first."""
    return _sliding_window_mask(queries, keys, window, past).astype(float)
''',
            False,
        ),
        "added": (
            '''
def sliding_window_mask(queries, keys, window, past=0):
    """To be added to scores: 0 where a key may be seen, else -inf."""
    seen = _sliding_window_mask(queries, keys, window, past)
    return np.where(seen, 0.0, -np.inf)
''',
            False,
        ),
    },
    "sink_attention": {
        "torch_function": (
            '''
def attention_with_sinks(q, k, v, s_aux, attn_mask):
    """Tensors; attn_mask is True where a key may be seen."""
    return _sink_attention(q, k, v, s_aux, attn_mask)
''',
            True,
        ),
        "always_causal": (
            '''
def causal_attention_with_sinks(q, k, v, sink_logits):
    """(batch, heads, tokens, d_head), and a number for each head."""
    mask = np.tri(q.shape[-2], k.shape[-2], dtype=bool)
    return _sink_attention(q, k, v, sink_logits, mask)
''',
            False,
        ),
        "tokens_first": (
            '''
def attention(query, key, value, sinks, mask):
    """(batch, tokens, heads, d_head); mask is True where seen."""
    q, k, v = (x.swapaxes(1, 2) for x in (query, key, value))
    return _sink_attention(q, k, v, sinks, mask).swapaxes(1, 2)
''',
            False,
        ),
    },
    "padding_mask": {
        "torch_function": (
            '''
def padding_mask(valid_lens, max_len):
    """A tensor, True for tokens, False for padding."""
    return _padding_mask(valid_lens, max_len)
''',
            True,
        ),
        "keys_first": (
            '''
def padding_mask(max_len, lengths):
    """Ones for tokens, zeros for padding."""
    return _padding_mask(lengths, max_len).astype(int)
''',
            False,
        ),
        "list_of_lengths": (
            '''
def padding_mask(lengths, keys=None):
    """lengths: a list; the longest says how many keys there are."""
    lengths = np.asarray(lengths)
    return _padding_mask(lengths, keys or lengths.max())
''',
            False,
        ),
    },
    "sinusoidal_positions": {
        "torch_function": (
            '''
def sinusoidal_positions(pos, d_model):
    """A tensor of (positions, d_model)."""
    return _sinusoidal_positions(pos, d_model)
''',
            True,
        ),
        "of_a_length": (
            '''
def sinusoidal_positions(max_len, d_model):
    """The first max_len positions, from 0."""
    positions = np.arange(max_len, dtype=float)
    return _sinusoidal_positions(positions, d_model)
''',
            False,
        ),
        "torch_layer": (
            '''
from torch import nn


class PositionalEncoding(nn.Module):
    """Adds sines and cosines to x (batch, tokens, d_model)."""

    def __init__(self, d_model, max_len=64):
        super().__init__()
        positions = torch.arange(max_len, dtype=torch.float64)
        encoded = _sinusoidal_positions(positions, d_model)
        self.register_buffer("pe", encoded)

    def forward(self, x):
        return x + self.pe[: x.shape[1]].to(x.dtype)
''',
            True,
        ),
    },
    "merge_all": {
        "dict_of_pairs": (
            '''
def merge_all(ids, merges):
    """ids: a list; merges: a dict from (left, right) to the new id"""
    pairs = sorted(merges.items())
    table = [[left * WIDTH + right, new] for (left, right), new in pairs]
    numbers = np.array(table, dtype=np.int64).reshape(-1, 2).T
    return _merge_all(np.array(ids), numbers).tolist()
''',
            False,
        ),
        "table_first": (
            '''
def merge_all(table, ids):
    """The table comes first, and the ids come back as a list."""
    return _merge_all(ids, table).tolist()
''',
            False,
        ),
        "tokenizer": (
            '''
class Tokenizer:
    """Byte pairs of a dict from (left, right) to the new id."""

    def __init__(self, merges):
        pairs = sorted(merges.items())
        table = [[pair[0] * WIDTH + pair[1], new] for pair, new in pairs]
        self.table = np.array(table, dtype=np.int64).reshape(-1, 2).T

    def encode(self, text):
        ids = np.array(list(text.encode("utf-8")), dtype=np.int64)
        return _merge_all(ids, self.table).tolist()
''',
            False,
        ),
    },
    "window_starts": {
        "list": (
            '''
def window_starts(n_tokens, max_length, stride=1):
    """A list of where each window begins."""
    return _window_starts(n_tokens, max_length, stride).tolist()
''',
            False,
        ),
        "stride_first": (
            '''
def window_starts(stride, block_size, tokens):
    """The number of tokens comes last."""
    return _window_starts(tokens, block_size, stride)
''',
            False,
        ),
        "windows": (
            '''
def windows(ids, context_length, stride):
    """The windows themselves, and their targets one token on."""
    starts = _window_starts(len(ids), context_length, stride)
    rows = starts[:, None] + np.arange(context_length)
    return ids[rows], ids[rows + 1]
''',
            False,
        ),
    },
    "merge_heads": {
        "with_heads": (
            '''
def merge_heads(x, n_head=None):
    """The number of heads is known from x, and accepted."""
    return _merge_heads(x)
''',
            False,
        ),
        "torch_function": (
            '''
import torch


def combine_heads(tensor: torch.Tensor) -> torch.Tensor:
    """(batch, heads, tokens, d_head) to (batch, tokens, d_model)"""
    return _merge_heads(tensor).contiguous()
''',
            True,
        ),
        "list_of_heads": (
            '''
import numpy as np


def merge_heads(heads):
    """heads: a list with (tokens, d_head) for each head"""
    return _merge_heads(np.stack(heads))
''',
            False,
        ),
    },
    "split_heads": {
        "heads_first": (
            '''
def split_heads(num_heads, x):
    """The number of heads comes first."""
    return _split_heads(x, num_heads)
''',
            False,
        ),
        "torch_function": (
            '''
import torch


def split_heads(tensor: torch.Tensor, n_head: int) -> torch.Tensor:
    """(batch, tokens, d_model) to (batch, heads, tokens, d_head)"""
    return _split_heads(tensor, n_head)
''',
            True,
        ),
        "of_a_width": (
            '''
def split_heads(x, n_head, d_head):
    """The width of a head is given beside their number."""
    if x.shape[-1] != n_head * d_head:
        raise ValueError(f"expected {n_head * d_head} features")
    return _split_heads(x, n_head)
''',
            False,
        ),
    },
    "softmax": {
        "with_axis": (
            '''
def softmax(x, axis=-1):
    """Each row of x as a distribution."""
    return _softmax(x)
''',
            False,
        ),
        "torch_function": (
            '''
def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Each row of logits as a distribution."""
    return _softmax(logits)
''',
            True,
        ),
        "list": (
            '''
def softmax(rows):
    """rows: a list of lists of numbers; and so is what comes back"""
    return _softmax(np.array(rows)).tolist()
''',
            False,
        ),
    },
    "token_embedding_backward": {
        "ids_first": (
            '''
from typing import NamedTuple


class Table(NamedTuple):
    weight: np.ndarray


def token_embedding_backward(ids, d_out, weight):
    """The gradient of the table itself, no object around."""
    return _token_embedding_backward(d_out, ids, Table(weight)).weight
''',
            False,
        ),
        "torch_function": (
            '''
from typing import NamedTuple


class Table(NamedTuple):
    weight: torch.Tensor


def token_embedding_backward(grad_output, ids, weight):
    """For tensors; the gradient of the table itself."""
    table = Table(weight)
    return _token_embedding_backward(grad_output, ids, table).weight
''',
            True,
        ),
        "numpy_class": (
            '''
class Table:
    def __init__(self, weight):
        self.weight = weight


class Embedding:
    """A layer with a backward by hand, which keeps its ids."""

    def __init__(self, vocab_size, d_model, seed=0):
        random = np.random.default_rng(seed)
        self.weight = random.normal(size=(vocab_size, d_model))

    def forward(self, ids):
        self.ids = ids
        return self.weight[ids]

    def backward(self, d_out):
        table = Table(self.weight)
        gradient = _token_embedding_backward(d_out, self.ids, table)
        return gradient.weight
''',
            False,
        ),
    },
}


def dresses(bug: str) -> dict[str, str]:
    source = private(bug)
    return {
        name: joined("", in_torch(source) if torch else source, added)
        for name, (added, torch) in ADDED[thing_of(bug)].items()
    }
