"""NumPy's words in PyTorch: the same code, and the same bug."""

import re

# In this order; what differs in more than its name comes first.
WORDS = {
    r"import numpy as np": "import torch",
    r"np\.tri\((\w+), (\w+), ([^,]+), dtype=bool\)": (
        r"torch.ones(\1, \2, dtype=torch.bool).tril(\3)"
    ),
    r"np\.tri\((\w+), (\w+), dtype=bool\)": (
        r"torch.ones(\1, \2, dtype=torch.bool).tril()"
    ),
    r"np\.pad\(array, widths\)": (
        "torch.nn.functional.pad(\n"
        "        array, [n for pair in widths[::-1] for n in pair]\n"
        "    )"
    ),
    r"np\.take_along_axis\(": "torch.take_along_dim(",
    r"dtype=bool": "dtype=torch.bool",
    r"\.(max|sum)\(keepdims=True\)": r".\1()",
    r"\.max\(axis": ".amax(axis",
    r"\.var\(axis=-1, keepdims": ".var(axis=-1, correction=0, keepdims",
    r"ddof=": "correction=",
    r"\.astype\(": ".to(",
    r"\baxis=": "dim=",
    r"\bkeepdims=": "keepdim=",
    r"\bnp\.": "torch.",
}


def in_torch(source: str) -> str:
    for numpy, torch in WORDS.items():
        source = re.sub(numpy, torch, source)
    return source
