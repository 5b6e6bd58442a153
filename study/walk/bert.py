"""The walk through a whole BERT or relative, with a checkpoint's weights.

As in `run`: PyTorch goes from the ids to the end on its own, and NumPy
replays each call.
"""

from dataclasses import replace

import numpy as np
import torch

from numpy_ref.checkpoints.architecture import BertConfig
from numpy_ref.checkpoints.bert import BertCheckpoint, load_bert
from numpy_ref.checkpoints.model_folders import find_model, wordpiece_of
from numpy_ref.checkpoints.relatives import inputs_of
from numpy_ref.tokenizers import wordpiece
from numpy_ref.variants.albert import Albert
from parity_tests.twins.loading import BertTwin, bert_twin
from parity_tests.twins.recording import record
from torch_impl.attention import softmax

from .bert_stops import bert_stops
from .run import Walk, check_tokens, walked
from .tokenizing import distinct

MASKS = ("[MASK]", "<mask>")
MOST_GUESSES = 5


def walk_bert(text: str, name: str, dtype: str) -> Walk:
    """From `text` to the end of the BERT of that name, compared.

    `name` is one that `find_model` knows. Raises ValueError for a text
    without words, and for one that is longer than the model.
    """
    folder = find_model(name)
    checkpoint = load_bert(folder.path, dtype)
    tokenizer = wordpiece_of(folder.path)
    encoded = tokenizer.encode(text)
    config, twin = checkpoint.config, bert_twin(checkpoint)
    check_tokens(text, len(encoded.ids))
    check_sizes(encoded, tokenizer, config)
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
        "unknown_tokens": encoded.tokens.count(wordpiece.UNKNOWN),
        "positions": config.positions,
        "layers": config.layers,
        "heads": config.heads,
    }
    parts = (twin.pooler is not None, twin.head is not None)
    walk = walked(
        about_bert(folder.about, counts, checkpoint),
        counts,
        bert_stops(config.layers, *parts, config.architecture.model),
        calls,
        tokens=encoded.tokens,
        ids=encoded.ids.tolist(),
    )
    return replace(
        walk,
        segments=encoded.segments.tolist(),
        guesses=guesses(encoded.tokens, logits, tokenizer.vocabulary),
    )


def run(twin: BertTwin, inputs: dict) -> torch.Tensor | None:
    """One text through all parts of the twin; the logits, if any."""
    _, layers = twin.model(**inputs)
    if twin.pooler is not None:
        twin.pooler(layers[-1].hidden)
    if twin.head is None:
        return None
    return twin.head(layers[-1].hidden, inputs["epsilon"])


def check_sizes(
    encoded: wordpiece.Encoded,
    tokenizer: wordpiece.WordPieceTokenizer,
    config: BertConfig,
) -> None:
    """Raise ValueError for a text or a vocabulary that is too long."""
    tokens, entries = len(encoded.ids), len(tokenizer.vocabulary)
    if tokens > config.positions:
        raise ValueError(
            f"expected a text of at most {config.positions} tokens, the "
            f"number of the model's positions, got {tokens}"
        )
    if entries > config.vocabulary:
        raise ValueError(
            f"expected at most {config.vocabulary} tokens in vocab.txt, "
            f"the size of the model's vocabulary, got {entries}"
        )


def guesses(
    tokens: list[str],
    logits: torch.Tensor | None,
    vocabulary: dict[str, int],
) -> list[str]:
    """For each mask the most likely tokens, with their probabilities.

    A model may have more rows than its tokenizer has tokens, to fill up
    its table: such a row is called by its id.
    """
    if logits is None:
        return []
    tokens_by_id = {index: token for token, index in vocabulary.items()}
    return [
        f"{token} at {position}: "
        + ", ".join(
            f"{tokens_by_id.get(index, f'id {index}')} {probability:.2f}"
            for probability, index in most_likely(logits[position])
        )
        for position, token in enumerate(tokens)
        if token in MASKS
    ]


def most_likely(logits: torch.Tensor) -> list[tuple[float, int]]:
    """The largest probabilities, and the ids of their tokens."""
    probabilities = softmax(logits).numpy()
    best = np.argsort(-probabilities, kind="stable")[:MOST_GUESSES]
    return [(float(probabilities[i]), int(i)) for i in best]


def about_bert(
    folder: str, counts: dict[str, int], checkpoint: BertCheckpoint
) -> str:
    """Whose weights these are, and the counts, in sentences."""
    unknown = counts["unknown_tokens"]
    blocks = f"{counts['layers']} blocks"
    if isinstance(checkpoint.model, Albert):
        blocks = f"one block as {counts['layers']} layers"
    return (
        f"{folder}, {blocks} with {counts['heads']} heads "
        f"each, with{'out' * (checkpoint.head is None)} a masked-language "
        f"head. {counts['characters']:,} characters; WordPiece: "
        f"{counts['tokens']:,} tokens with [CLS] and [SEP], of at most "
        f"{counts['positions']:,}"
        + f"; {unknown:,} unknown to the vocabulary" * bool(unknown)
        + ". Positions are counted from 0."
    )
