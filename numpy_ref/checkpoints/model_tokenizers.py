"""The tokenizer that belongs to a model: the one of its folder.

Of a BERT or a relative. Our own WordPiece where it honours all that the
folder's files say, and Hugging Face's `tokenizers` for any other; a test
holds the two against each other. Nothing that a file says is ignored.
`byte_pair_files` does the same for a GPT-2.
"""

from pathlib import Path

from ..tokenizers.library_tokenizer import LibraryTokenizer
from ..tokenizers.tokenizer_json import not_wordpiece, wordpiece_of
from ..tokenizers.wordpiece import BERT_NAMES, WordPieceTokenizer
from .byte_pair_files import (
    FILES,
    MERGES,
    VOCABULARY,
    check_fits,
    read_entries,
)
from .tokenizer_files import FILE, read_tokenizer

Tokenizer = WordPieceTokenizer | LibraryTokenizer


def tokenizer_of(folder: Path, vocabulary: int | None = None) -> Tokenizer:
    """The tokenizer of a model's folder.

    `vocabulary` is how many tokens the model knows. Raises ValueError for
    a folder without tokenizer files, for files that say what is not
    supported, and for a token that the model does not know.
    """
    files = [name for name in FILES if (folder / name).is_file()]
    if {VOCABULARY, MERGES} <= set(files) and FILE not in files:
        # RoBERTa's, as they were saved before `tokenizer.json`.
        entries, names = read_entries(folder, files), BERT_NAMES
    else:
        entries, names = read_tokenizer(folder)
    if any(not_wordpiece(entries)):
        tokenizer = LibraryTokenizer(entries, names)
    else:
        tokenizer = wordpiece_of(entries, names)
    if vocabulary is not None:
        check_fits(folder, tokenizer.vocabulary, vocabulary)
    return tokenizer
