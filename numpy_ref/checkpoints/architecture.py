"""Architecture: what the model_type of a configuration stands for.

BERT and its relatives differ in little: in names, in fields of
`config.json`, in a few steps. Each has one file with an `Architecture`;
`relatives` is the table of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..bert import masked_language_head
from .names import Name


@dataclass(frozen=True, eq=False)
class Architecture:
    """A model of BERT's family, as transformers saves it.

    `names` go from its tensors to our arrays, and those of the model
    begin with `prefix` when it was saved with a head. `fields` says which
    field of `config.json` is which size, `fixed` those that no field
    says, and `supported` the one value of a field that we compute with.
    `ignored` are tensors that nothing needs, with the reason, and `tied`
    those that a head may hold twice. `model` is the step that takes
    `takes` and parameters of the kind `parameters`; `head` guesses masked
    tokens. `padding` names the field with the id behind which positions
    begin, where they do not begin at 0.
    """

    title: str
    prefix: str
    names: tuple[Name, ...]
    fields: Mapping[str, str]
    supported: Mapping[str, object]
    ignored: Mapping[str, str]
    tied: Mapping[str, str]
    model: Callable
    parameters: type
    takes: tuple[str, ...] = ("ids", "segments", "mask", "heads", "epsilon")
    head: Callable = masked_language_head
    fixed: Mapping[str, object] = field(default_factory=dict)
    padding: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class BertConfig:
    """Sizes, heads, epsilon; `tied`: the head decodes by the embedding.

    `positions` counts those that a text may have, `position_rows` the
    rows that the checkpoint's table has for them. `padding` is the id of
    the padding token where positions begin behind it, else None.
    """

    vocabulary: int
    positions: int
    segments: int
    d_model: int
    d_ff: int
    layers: int
    heads: int
    epsilon: float
    d_embedding: int
    position_rows: int
    padding: int | None = None
    tied: bool = True
    architecture: Architecture = field(repr=False)
