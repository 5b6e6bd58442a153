"""DistilBERT: half of a BERT's blocks, no segments (Sanh et al. 2019).

It has no pooler either, and nearly all of its names differ. Its
positions may be sines and cosines (`sinusoidal_pos_embds`): they were
written into the table when it was made, and are read from there.
"""

from ..variants.distilbert import DistilBert, distil_bert
from .architecture import Architecture
from .names import Name, with_bias

BLOCK, OUR_BLOCK = "transformer.layer.{}", "model.encoder.blocks.{}"
ATTENTION, OUR_ATTENTION = f"{BLOCK}.attention", f"{OUR_BLOCK}.attention"
TABLES = "model.embedding.tables"

NAMES = (
    Name(
        "embeddings.word_embeddings.weight",
        f"{TABLES}.token.weight",
        "vocabulary d_model",
    ),
    Name(
        "embeddings.position_embeddings.weight",
        f"{TABLES}.position.weight",
        "positions d_model",
    ),
    *with_bias("embeddings.LayerNorm", "model.embedding.norm", "d_model"),
    *with_bias(
        f"{ATTENTION}.q_lin", f"{OUR_ATTENTION}.query", "d_model d_model"
    ),
    *with_bias(
        f"{ATTENTION}.k_lin", f"{OUR_ATTENTION}.key", "d_model d_model"
    ),
    *with_bias(
        f"{ATTENTION}.v_lin", f"{OUR_ATTENTION}.value", "d_model d_model"
    ),
    *with_bias(
        f"{ATTENTION}.out_lin", f"{OUR_ATTENTION}.output", "d_model d_model"
    ),
    *with_bias(
        f"{BLOCK}.sa_layer_norm", f"{OUR_BLOCK}.attention_norm", "d_model"
    ),
    *with_bias(
        f"{BLOCK}.ffn.lin1",
        f"{OUR_BLOCK}.feed_forward.inner",
        "d_ff d_model",
    ),
    *with_bias(
        f"{BLOCK}.ffn.lin2",
        f"{OUR_BLOCK}.feed_forward.output",
        "d_model d_ff",
    ),
    *with_bias(
        f"{BLOCK}.output_layer_norm",
        f"{OUR_BLOCK}.feed_forward_norm",
        "d_model",
    ),
    *with_bias("vocab_transform", "head.dense", "d_model d_model"),
    *with_bias("vocab_layer_norm", "head.norm", "d_model"),
    *with_bias("vocab_projector", "head.decoder", "vocabulary d_model"),
)

DISTILBERT = Architecture(
    title="DistilBERT",
    prefix="distilbert.",
    names=NAMES,
    fields={
        "vocabulary": "vocab_size",
        "positions": "max_position_embeddings",
        "d_model": "dim",
        "d_ff": "hidden_dim",
        "layers": "n_layers",
        "heads": "n_heads",
    },
    supported={
        "activation": "gelu",
        "pruned_heads": {},
        "quantization_config": None,
    },
    ignored={
        "embeddings.position_ids": "0, 1, 2 ..., which needs no storing",
        "pre_classifier.": "one task's own layer",
        "classifier.": "one task's own layer",
        "qa_outputs.": "one task's own layer",
    },
    tied={"vocab_projector.weight": f"{TABLES}.token.weight"},
    model=distil_bert,
    parameters=DistilBert,
    takes=("ids", "mask", "heads", "epsilon"),
    fixed={"segments": 0, "epsilon": 1e-12},
)
