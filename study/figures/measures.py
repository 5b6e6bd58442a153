"""Measures: the figures that are computed, each by a function.

They take seconds, and a test computes them again. What takes longer, and
depends on the machine, is a timing (`timings.py`).
"""

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from numpy_ref import example
from numpy_ref.attention import masked_softmax

from ..text.corpus import manifest
from .results import Figure, Figures

SENTENCE = "The artist painted the portrait of a woman with a brush"

# The base models: where their sizes are not transformers' defaults.
BASE = {
    "Bert": {},
    "Roberta": {"max_position_embeddings": 514, "type_vocab_size": 1},
    "DistilBert": {},
    "Albert": {
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    },
}


class Measure(NamedTuple):
    """A function that computes a figure, and how the figure is shown."""

    function: Callable[..., float | str]
    arguments: tuple = ()
    form: str = "{value}"
    unit: str = ""

    def value(self) -> float | str:
        return self.function(*self.arguments)

    def __str__(self) -> str:
        arguments = ", ".join(map(repr, self.arguments))
        name = self.function.__name__
        return f"{self.function.__module__}.{name}({arguments})"


def weights_of_the_example() -> str:
    """The weights of token 3, as a pencil writes them."""
    row = masked_softmax(example.SCORES, example.MASK)[2]
    *first, last = (
        str(Fraction(weight).limit_denominator(100))
        for weight in row[row > 0]
    )
    return f"{', '.join(first)} and {last}"


def kilobytes_of_the_verdict() -> float:
    return manifest()["the-verdict"]["bytes"] / 1000


def vocabulary_of_gpt2() -> int:
    from numpy_ref.tokenizers.gpt2_vocabulary import gpt2_tokenizer

    return len(gpt2_tokenizer().tokens)


def base_config(kind: str):
    """The configuration of a base model, as its `config.json` has it."""
    import transformers

    from numpy_ref.checkpoints.bert_config import config_of

    config = getattr(transformers, f"{kind}Config")(**BASE[kind])
    return config_of(config.to_dict())


def vocabulary_of(kind: str) -> int:
    return base_config(kind).vocabulary


def parameters_of(kind: str, pooler: bool) -> int:
    from numpy_ref.checkpoints.relatives import parameter_count

    return parameter_count(base_config(kind), pooler)


def clearest_head(pattern: str) -> str:
    """The head of the small BERT that most has a pattern: layer.head."""
    head = clearest(pattern)
    return f"{head.layer}.{head.head}"


def weight_of_clearest_head(pattern: str) -> float:
    return round(clearest(pattern).value, 2)


@cache
def clearest(pattern: str):
    from bert_viz import attend, heads_of, metric_table

    return heads_of(metric_table(attend(SENTENCE)), pattern)[0]


def counted(function: Callable[..., int], *arguments) -> Measure:
    return Measure(function, arguments, "{value:,}")


MEASURES = {
    "albert.parameters": counted(parameters_of, "Albert", True),
    "albert.without_pooler": counted(parameters_of, "Albert", False),
    "bert.parameters": counted(parameters_of, "Bert", True),
    "bert.without_pooler": counted(parameters_of, "Bert", False),
    "distilbert.without_pooler": counted(
        parameters_of, "DistilBert", False
    ),
    "example.weights": Measure(weights_of_the_example),
    "gpt2.vocabulary": counted(vocabulary_of_gpt2),
    "minilm.next_token": Measure(clearest_head, ("next token",)),
    "minilm.previous_token": Measure(clearest_head, ("previous token",)),
    "minilm.previous_token_weight": Measure(
        weight_of_clearest_head, ("previous token",), "{value:.2f}"
    ),
    "roberta.parameters": counted(parameters_of, "Roberta", True),
    "roberta.without_pooler": counted(parameters_of, "Roberta", False),
    "roberta.vocabulary": counted(vocabulary_of, "Roberta"),
    "verdict.size": Measure(
        kilobytes_of_the_verdict, (), "{value:.0f} {unit}", "kB"
    ),
}


def measured(before: Figures) -> Figures:
    """All computed figures, and the timings that there were before.

    A figure whose value is the same keeps its date.
    """
    timings = {n: f for n, f in before.items() if f.machine is not None}
    today = date.today().isoformat()
    return timings | {
        name: measured_figure(measure, before.get(name), today)
        for name, measure in MEASURES.items()
    }


def measured_figure(
    measure: Measure, before: Figure | None, today: str
) -> Figure:
    value = measure.value()
    same = before is not None and before.value == value
    return Figure(
        value=value,
        unit=measure.unit,
        form=measure.form,
        measured=before.measured if same else today,
        by=str(measure),
    )
