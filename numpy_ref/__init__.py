"""The reference: every step from text to attention in short NumPy.

Attention lets each token of a text look at the others, and take from
each as much as it finds fitting. The files read in the order of the data:
`word_tokenizer`, `byte_pair_encoding`, `windows`, `embeddings`, `masks`,
`layers`, `attention`, `self_attention`, `multi_head`, `sublayers`, `bert`,
`gpt2`, `key_value_cache`, `generation`, `loss`, `optimizer`,
`gpt2_training`. Each has a twin of the same name in `torch_impl`. Under a
step stands its gradient, `softmax_backward` under `softmax`. `example`
holds four tokens that can be checked with a pencil; `gpt2_on_one_page`
shows a whole model.

`variants` holds what later models changed, in the same two forms. Three
rooms have no twin: `tokenizers` for use, `checkpoints` for real
weights, and `training`.

The shape of an array stands in its annotation, in names of axes:
`Float[Array, "*batch query d_head"]` has any number of axes, then one
for queries, then one for features; the same name means the same size in
a whole signature; `#query` may also be 1.
"""
