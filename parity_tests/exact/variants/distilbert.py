from ..bert import encoder
from ..embeddings import input_embedding
from ..layers import layer_norm


def distil_bert_embedding(ids, params, epsilon):
    total = input_embedding(ids, params.tables)["x"]
    x = layer_norm(total, params.norm, epsilon)["y"]
    return locals()


def distil_bert(ids, mask, params, heads, epsilon):
    x = distil_bert_embedding(ids, params.embedding, epsilon)["x"]
    layers = encoder(x, params.encoder, mask, heads, epsilon)["layers"]
    return locals()
