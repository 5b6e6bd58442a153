"""Every step from text to attention, as one short NumPy function each.

Attention lets each token of a text look at the others, and take from
each as much as it finds fitting. The files read in the order of the data:
`word_tokenizer`, `byte_pair_encoding`, `windows`, `embeddings`, `masks`,
`layers`, `attention`, `self_attention`, `multi_head`, `bert`, `gpt2`,
`key_value_cache`, `generation`, `loss`, `optimizer`, `gpt2_training`,
`training`. Each has a twin of the same name in `torch_impl`. Under a step
stands its gradient, `softmax_backward` under `softmax`. `example` holds
four tokens that can be checked with a pencil.

Tokenizers for use work on text, without a twin. For GPT-2's read
`pretokens`, `fast_merging`, `bpe_training`, `bpe_tokenizer` and
`gpt2_vocabulary`; for BERT's `bert_words` and `wordpiece`. Real weights
come through `bert_checkpoint` and `gpt2_checkpoint`.

The shape of an array stands in its annotation, in names of axes:
`Float[Array, "*batch query d_head"]` has any number of axes, then one
for queries, then one for features; the same name means the same size in
a whole signature; `#query` may also be 1.
"""
