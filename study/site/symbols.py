"""Symbols: the LaTeX of each name, as the docstrings' equations use it."""

EVERYWHERE = {
    "query": "Q",
    "key": "K",
    "value": "V",
    "scores": "S",
    "weights": "A",
    "context": "O",
    "mask": "M",
    "x": "X",
    "y": "Y",
    "query.shape[-1]": r"d_\text{head}",
    "temperature": r"\tau",
    "epsilon": r"\epsilon",
    "weight": "W",
    "bias": "b",
    "query.weight": "W_Q",
    "key.weight": "W_K",
    "value.weight": "W_V",
    "after_attention": "H",
    "pi": r"\pi",
}

SYMBOLS = {
    "*": EVERYWHERE,
    "matrix_attention": {
        "params.query": "W_Q",
        "params.key": "W_K",
        "params.value": "W_V",
    },
    "layer_norm": {
        "x": "x",
        "y": "y",
        "mean": r"\mu",
        "variance": r"\sigma^2",
        "normalised": "z",
        "weight": "w",
    },
    "rms_norm": {
        "x": "x",
        "y": "y",
        "mean_square": r"\overline{x^2}",
        "root_mean_square": "r",
        "normalised": "z",
        "weight": "w",
    },
    "silu": {"x": "x", "y": "y", "gate": r"\sigma"},
    "rotary_tables": {
        "angle": r"\theta",
        "base": "b",
        "positions": "p",
        "pair": "i",
        "d_head": r"d_\text{head}",
    },
    "gelu": {"x": "x", "y": "y", "probability": r"\Phi"},
    "gelu_tanh": {"x": "x", "y": "y"},
}

# The names that have a colour of their own, the same on every page.
HUES = (
    *("query", "key", "value", "scores", "weights", "context", "mask", "x"),
)
