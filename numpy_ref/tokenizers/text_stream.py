"""Streaming text: whole characters, out of tokens that may cut them."""

from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence


def stream_text(
    ids: Iterable[int], tokens: Sequence[bytes]
) -> Iterator[str]:
    """Stream text: that of each token, once its last character is whole.

    `tokens` are the bytes of each id, as in `BytePairTokenizer.tokens`.
    All pieces together are the text that decoding all ids at once gives,
    U+FFFD in the place of a broken character. Raises ValueError for an id
    that has no token.

    >>> list(stream_text([0, 1, 2], [b"a\\xc3", b"\\xa9", b"b"]))
    ['a', 'é', 'b']
    """
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    for index in ids:
        if not 0 <= index < len(tokens):
            raise ValueError(
                f"expected ids from 0 to {len(tokens) - 1}, got {index}"
            )
        text = decoder.decode(tokens[index])
        if text:
            yield text
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest
