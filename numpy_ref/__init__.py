"""Every step from text to attention, as one short NumPy function each.

The files read in the order of the data: `word_tokenizer`, `windows`,
`embeddings`, `masks`, `layers`, `attention`, `multi_head`. Each has a
twin of the same name in `torch_impl`. `example` holds four tokens that
can be checked with a pencil.
"""
