"""Text as it comes: whole characters, out of tokens that may cut them."""

from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence


def stream_text(
    ids: Iterable[int], tokens: Sequence[bytes]
) -> Iterator[str]:
    """The text of each token as soon as its last character is whole.

    `tokens` are the bytes of each id, as in `BytePairTokenizer.tokens`.
    All pieces together are the text that decoding all ids at once gives,
    U+FFFD in the place of a broken character. Raises ValueError for an id
    that has no token.

    >>> list(stream_text([0, 1, 2], [b"a\\xc3", b"\\xa9", b"b"]))
    ['a', 'é', 'b']
    """
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    for number in ids:
        if not 0 <= number < len(tokens):
            raise ValueError(
                f"expected ids from 0 to {len(tokens) - 1}, got {number}"
            )
        text = decoder.decode(tokens[number])
        if text:
            yield text
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest
