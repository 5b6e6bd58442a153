from parity_tests.bounds.gradients import along_paths

from ..numbers import parameters
from .label_smoothing import (
    smoothed_cross_entropy,
    smoothed_cross_entropy_backward,
)
from .projection import projection_backward
from .transformer import (
    transformer,
    transformer_decoder_block_backward,
    transformer_embedding_backward,
    transformer_encoder_block_backward,
)


def transformer_loss(
    source_ids,
    target_ids,
    targets,
    source_mask,
    params,
    smoothing,
    heads,
    epsilon,
    ignored,
):
    steps = transformer(
        source_ids, target_ids, source_mask, params, heads, epsilon
    )
    loss = smoothed_cross_entropy(
        steps["logits"], targets, smoothing, ignored
    )["loss"]
    return steps | {"loss": loss}


def transformer_loss_backward(
    d_loss,
    source_ids,
    target_ids,
    targets,
    source_mask,
    params,
    smoothing,
    heads,
    epsilon,
    ignored,
):
    steps = transformer(
        source_ids, target_ids, source_mask, params, heads, epsilon
    )
    masks = (steps["mask"], steps["keys"])
    d_logits = smoothed_cross_entropy_backward(
        d_loss, steps["logits"], targets, smoothing, ignored
    )["d_logits"]
    output = projection_backward(
        d_logits, steps["hidden"], params.embedding.token
    )
    d_x = d_hidden = output["d_x"]
    states = [(steps["x"],), *steps["decoder_layers"]]
    d_sources, d_decoder = [], []
    for index, block in reversed([*enumerate(params.decoder.blocks)]):
        back = transformer_decoder_block_backward(
            *(d_x, *states[index + 1][1:3], states[index][0]),
            *(steps["source"], block, *masks, heads, epsilon),
        )
        d_x = back["d_x"]
        d_sources.append(back["d_source"])
        d_decoder.insert(0, back["d_params"])
    d_source = d_source_x = along_paths(*d_sources)
    states = [(steps["source_x"],), *steps["encoder_layers"]]
    d_encoder = []
    for index, block in reversed([*enumerate(params.encoder.blocks)]):
        back = transformer_encoder_block_backward(
            *(d_source_x, states[index + 1][1], states[index][0]),
            *(block, steps["keys"], heads, epsilon),
        )
        d_source_x = back["d_x"]
        d_encoder.insert(0, back["d_params"])
    as_source, as_target = (
        transformer_embedding_backward(part, ids, params.embedding)
        for part, ids in ((d_source_x, source_ids), (d_x, target_ids))
    )
    d_table = along_paths(
        *(part["d_params"].token.weight for part in (as_source, as_target)),
        output["d_params"].weight,
    )
    return {
        "d_logits": d_logits,
        "d_hidden": d_hidden,
        "d_x": d_x,
        "d_source": d_source,
        "d_source_x": d_source_x,
        "d_table": d_table,
        "d_params": parameters(
            embedding=parameters(token=parameters(weight=d_table)),
            encoder=parameters(blocks=tuple(d_encoder)),
            decoder=parameters(blocks=tuple(d_decoder)),
        ),
    }
