"""Races of BERT: MiniLM's forward, beside that of transformers.

Both sides compute and keep all hidden states, attention weights, queries,
keys and values of the same texts, in float32; transformers gives the last
three to a hook. Of several texts each of our threads takes one after the
other, without the padding; `padded` is one array of them all.

Each forward makes new arrays of some 10 MB, which both sides get from one
allocator. Left to itself, glibc's may return that memory to the system
and ask for it again, page by page; with MALLOC_MMAP_THRESHOLD_ and
MALLOC_TRIM_THRESHOLD_ in the environment, at a gigabyte each, it does not.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from numpy_ref.bert import bert
from numpy_ref.checkpoints.bert import BertCheckpoint, load_bert
from numpy_ref.checkpoints.model_folders import find_model
from numpy_ref.fast.threads import results_on_threads
from numpy_ref.masks import padding_mask

from .races import WORKERS, Race, size_of

# Lengths of the texts in a batch, and the ratio to stay below.
WORKS = {
    "1 × 128": ([128], 0.85),
    "8 × 128, padded": ([128, 121, 110, 96, 81, 64, 40, 17], 1.0),
}


def races(quick: bool = False) -> Iterator[Race]:
    model = load_bert(find_model("bert").path).model
    weights = size_of(model.encoder)
    for work, (lengths, reach) in WORKS.items():
        at_once = all_at_once(lengths)
        sides = {"ours": at_once, "eager": their_forward(lengths)}
        if len(lengths) > 1:
            sides |= {"ours": one_by_one(lengths), "padded": at_once}
        operations = 2 * weights * sum(lengths)
        yield Race(work, sides, reach, operations)


def texts(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Random ids, and the padding mask."""
    shape = (len(lengths), max(lengths))
    ids = np.random.default_rng(0).integers(1000, 30000, shape)
    return ids, padding_mask(np.array(lengths), shape[1])


def all_at_once(lengths: list[int]) -> Callable[[], object]:
    """One array for all texts, with padding where they are short."""
    checkpoint = load_bert(find_model("bert").path)
    return partial(ours, checkpoint, *texts(lengths))


def one_by_one(lengths: list[int]) -> Callable[[], object]:
    """Each text by itself, without padding, on a thread."""
    checkpoint = load_bert(find_model("bert").path)
    ids, mask = texts(lengths)

    def forward(row: int):
        one, length = slice(row, row + 1), lengths[row]
        return ours(checkpoint, ids[one, :length], mask[one, :, :length])

    rows = list(range(len(lengths)))
    return partial(results_on_threads, forward, rows, WORKERS)


def ours(checkpoint: BertCheckpoint, ids: np.ndarray, mask: np.ndarray):
    config = checkpoint.config
    return bert(
        *(ids, np.zeros_like(ids), mask, checkpoint.model),
        *(config.heads, config.epsilon),
    )


def their_forward(lengths: list[int]) -> Callable[[], object]:
    import torch
    from transformers import BertModel

    model = BertModel.from_pretrained(
        find_model("bert").path, attn_implementation="eager"
    ).eval()
    ids, mask = map(torch.from_numpy, texts(lengths))
    kept = []
    for layer in model.encoder.layer:
        attention = layer.attention.self
        for part in (attention.query, attention.key, attention.value):
            part.register_forward_hook(lambda *call: kept.append(call[-1]))

    def forward():
        with torch.inference_mode():
            output = model(
                ids,
                mask[:, 0],
                output_hidden_states=True,
                output_attentions=True,
            )
        caught = list(kept)
        kept.clear()
        return output, caught

    return forward
