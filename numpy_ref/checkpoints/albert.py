"""ALBERT: narrow tables, and one block for all layers (Lan et al. 2020).

So no name has an index: whatever the depth, the block stands in the
checkpoint once, and in memory once. With more groups of layers, or more
blocks in a group, it would be another model; no ALBERT that was
published has them.
"""

from ..variants.albert import Albert, albert, masked_language_head_tanh
from .architecture import Architecture
from .bert_names import BERT
from .names import Name, with_bias

BLOCK = "encoder.albert_layer_groups.0.albert_layers.0"
OUR_BLOCK = "model.encoder.block"
ATTENTION, OUR_ATTENTION = f"{BLOCK}.attention", f"{OUR_BLOCK}.attention"
NARROW, HEAD = "model.embedding.narrow", "predictions"

NAMES = (
    Name(
        "embeddings.word_embeddings.weight",
        f"{NARROW}.token.weight",
        "vocabulary d_embedding",
    ),
    Name(
        "embeddings.position_embeddings.weight",
        f"{NARROW}.position.weight",
        "positions d_embedding",
    ),
    Name(
        "embeddings.token_type_embeddings.weight",
        f"{NARROW}.segment.weight",
        "segments d_embedding",
    ),
    *with_bias("embeddings.LayerNorm", f"{NARROW}.norm", "d_embedding"),
    *with_bias(
        "encoder.embedding_hidden_mapping_in",
        "model.embedding.projection",
        "d_model d_embedding",
    ),
    *with_bias(
        f"{ATTENTION}.query", f"{OUR_ATTENTION}.query", "d_model d_model"
    ),
    *with_bias(
        f"{ATTENTION}.key", f"{OUR_ATTENTION}.key", "d_model d_model"
    ),
    *with_bias(
        f"{ATTENTION}.value", f"{OUR_ATTENTION}.value", "d_model d_model"
    ),
    *with_bias(
        f"{ATTENTION}.dense", f"{OUR_ATTENTION}.output", "d_model d_model"
    ),
    *with_bias(
        f"{ATTENTION}.LayerNorm", f"{OUR_BLOCK}.attention_norm", "d_model"
    ),
    *with_bias(
        f"{BLOCK}.ffn", f"{OUR_BLOCK}.feed_forward.inner", "d_ff d_model"
    ),
    *with_bias(
        f"{BLOCK}.ffn_output",
        f"{OUR_BLOCK}.feed_forward.output",
        "d_model d_ff",
    ),
    *with_bias(
        f"{BLOCK}.full_layer_layer_norm",
        f"{OUR_BLOCK}.feed_forward_norm",
        "d_model",
    ),
    *with_bias("pooler", "pooler.dense", "d_model d_model"),
    *with_bias(f"{HEAD}.dense", "head.dense", "d_embedding d_model"),
    *with_bias(f"{HEAD}.LayerNorm", "head.norm", "d_embedding"),
    Name(
        f"{HEAD}.decoder.weight",
        "head.decoder.weight",
        "vocabulary d_embedding",
    ),
    Name(f"{HEAD}.bias", "head.decoder.bias", "vocabulary"),
)

ALBERT = Architecture(
    title="ALBERT",
    prefix="albert.",
    names=NAMES,
    fields={**BERT.fields, "d_embedding": "embedding_size"},
    supported={
        **BERT.supported,
        "hidden_act": "gelu_new",
        "num_hidden_groups": 1,
        "inner_group_num": 1,
    },
    ignored={
        "embeddings.position_ids": "0, 1, 2 ..., which needs no storing",
        "sop_classifier.": "which of two texts comes first: a task of the "
        "training",
        "classifier.": "one task's own layer",
        "qa_outputs.": "one task's own layer",
    },
    tied={
        f"{HEAD}.decoder.weight": f"{NARROW}.token.weight",
        f"{HEAD}.decoder.bias": "head.decoder.bias",
    },
    model=albert,
    parameters=Albert,
    takes=("ids", "segments", "mask", "heads", "epsilon", "depth"),
    head=masked_language_head_tanh,
)
