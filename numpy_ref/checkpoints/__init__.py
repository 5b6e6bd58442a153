"""Checkpoints: real weights, from safetensors to our parameters.

`tensors` reads and writes the files, `names` takes names from theirs to
ours and back, `bert` and `gpt2` bring the models, `relatives` knows those
of BERT's family, `model_folders` finds them; `model_tokenizers` and
`byte_pair_files` bring their tokenizers. They read files and have no twin.
"""
