"""Tokenizers for use: text to ids and back, in plain Python.

GPT-2's byte-level BPE, read in this order: `pretokens`, `fast_merging`,
`bpe_training`, `bpe_tokenizer`, `gpt2_vocabulary`, `renumbered`. A model
that chats: `gguf_vocabulary`, `chat_template`, `chat_tokenizer`.
BERT's WordPiece: `bert_words`, `wordpiece`. They work on text and have no
twin.
"""
