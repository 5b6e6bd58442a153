"""The walk through a whole BERT or relative, with a checkpoint's weights.

As in `run`: PyTorch goes from the ids to the end on its own, and NumPy
replays each call.
"""

from dataclasses import replace

import numpy as np
import torch

from numpy_ref.checkpoints.bert import BertCheckpoint, load_bert
from numpy_ref.checkpoints.model_folders import ModelFolder
from numpy_ref.checkpoints.model_tokenizers import Tokenizer, tokenizer_of
from numpy_ref.checkpoints.relatives import inputs_of
from numpy_ref.variants.albert import Albert
from parity_tests.twins.loading import BertTwin, bert_twin
from parity_tests.twins.recording import record
from torch_impl.attention import softmax

from ..text.progress import progress
from .bert_stops import bert_stops
from .run import Walk, check_length, check_tokens, walked
from .tokenizing import distinct

MOST_GUESSES = 5


def walk_bert(text: str, folder: ModelFolder, dtype: str) -> Walk:
    """From `text` to the end of the BERT in that folder, compared.

    Raises ValueError for a text without words, and for one that is longer
    than the model.
    """
    checkpoint = load_bert(
        folder.path, dtype, progress("loading the model")
    )
    tokenizer = tokenizer_of(folder.path, checkpoint.config.vocabulary)
    encoded = tokenizer.encode(text)
    config, twin = checkpoint.config, bert_twin(checkpoint)
    check_tokens(text, len(encoded.ids))
    check_length(len(encoded.ids), config.positions)
    inputs = inputs_of(
        config,
        torch.from_numpy(encoded.ids),
        torch.from_numpy(encoded.segments),
        torch.ones(1, 1, dtype=torch.bool),
    )
    with torch.no_grad():
        logits, calls = record(run, twin, inputs)
    counts = {
        "characters": len(text),
        "tokens": len(encoded.ids),
        "distinct_tokens": distinct(encoded.ids),
        "vocabulary": config.vocabulary,
        "unknown_tokens": encoded.tokens.count(tokenizer.names.unknown),
        "positions": config.positions,
        "layers": config.layers,
        "heads": config.heads,
    }
    parts = (twin.pooler is not None, twin.head is not None)
    walk = walked(
        about_bert(folder.about, counts, checkpoint, tokenizer.kind),
        counts,
        bert_stops(config.layers, *parts, config.architecture.model),
        calls,
        tokens=encoded.tokens,
        ids=encoded.ids.tolist(),
    )
    return replace(
        walk,
        segments=encoded.segments.tolist(),
        guesses=guesses(encoded.tokens, logits, tokenizer),
    )


def run(twin: BertTwin, inputs: dict) -> torch.Tensor | None:
    """One text through all parts of the twin; the logits, if any."""
    _, layers = twin.model(**inputs)
    if twin.pooler is not None:
        twin.pooler(layers[-1].hidden)
    if twin.head is None:
        return None
    return twin.head(layers[-1].hidden, inputs["epsilon"])


def guesses(
    tokens: list[str],
    logits: torch.Tensor | None,
    tokenizer: Tokenizer,
) -> list[str]:
    """For each mask the most likely tokens, with their probabilities.

    A model may have more rows than its tokenizer has tokens, to fill up
    its table: such a row is called by its id.
    """
    if logits is None:
        return []
    mask = tokenizer.names.mask
    known = {index: token for token, index in tokenizer.vocabulary.items()}
    return [
        f"{mask} at {position}: "
        + ", ".join(
            f"{known.get(index, f'id {index}')} {probability:.2f}"
            for probability, index in most_likely(logits[position])
        )
        for position, token in enumerate(tokens)
        if token == mask
    ]


def most_likely(logits: torch.Tensor) -> list[tuple[float, int]]:
    """The largest probabilities, and the ids of their tokens."""
    probabilities = softmax(logits).numpy()
    best = np.argsort(-probabilities, kind="stable")[:MOST_GUESSES]
    return [(float(probabilities[i]), int(i)) for i in best]


def about_bert(
    folder: str,
    counts: dict[str, int],
    checkpoint: BertCheckpoint,
    tokenizer: str,
) -> str:
    """Whose weights these are, and the counts, in sentences."""
    unknown = counts["unknown_tokens"]
    blocks = f"{counts['layers']} blocks"
    if isinstance(checkpoint.model, Albert):
        blocks = f"one block as {counts['layers']} layers"
    return (
        f"{folder}, {blocks} with {counts['heads']} heads "
        f"each, with{'out' * (checkpoint.head is None)} a masked-language "
        f"head. {counts['characters']:,} characters; {tokenizer}: "
        f"{counts['tokens']:,} tokens with the special ones, of at most "
        f"{counts['positions']:,}"
        + f"; {unknown:,} unknown to the vocabulary" * bool(unknown)
        + ". Positions are counted from 0."
    )
