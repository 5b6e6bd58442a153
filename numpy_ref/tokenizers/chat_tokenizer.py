"""Chat tokenizer: text and conversations, to the ids of a model that chats.

In a conversation only the template writes special tokens. Whoever types
`<|im_end|>` has typed ten characters, and cannot end the message and
speak in another role. transformers does not keep the two apart unless it
is asked to, and then it cuts the text around what was typed; here the
ids of everything else are as if the text had been encoded whole.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray as Array

from ..checked import checked
from .added_splits import split_at_added
from .added_tokens import AddedToken
from .bpe_tokenizer import BytePairTokenizer
from .byte_pair_json import Tokenizer
from .chat_template import ChatTemplate, Messages
from .special_tokens import Specials
from .token_bytes import TokenBytes

LAST_CHARACTER = 0x10FFFD  # of Unicode's private ones


class ChatTokenizer(TokenBytes):
    """A tokenizer, the ids that end a text, and a model's chat template.

    `names` are the special tokens by which the template may ask, as in
    `ChatTemplate`. A model that was not trained to chat has no template.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | BytePairTokenizer,
        ends: tuple[int, ...] = (),
        template: str | None = None,
        names: dict[str, str] | None = None,
    ):
        self._tokenizer = tokenizer
        self.tokens, self.about = tokenizer.tokens, tokenizer.about
        self.special_tokens = tokenizer.special_tokens
        self.ends = ends
        self._template = template and ChatTemplate(template, names or {})

    @property
    def chats(self) -> bool:
        """Whether there is a chat template."""
        return bool(self._template)

    @checked
    def encode(
        self,
        text: str,
        allowed_special: Specials = "all",
        disallowed_special: Specials = "all",
    ) -> Int[Array, " token"]:
        """The ids of a text, as `BytePairTokenizer.encode` gives them."""
        return self._tokenizer.encode(
            text, allowed_special, disallowed_special
        )

    def encode_ordinary(self, text: str) -> Int[Array, " token"]:
        """The ids of a text in which no special token counts as one."""
        return self._tokenizer.encode_ordinary(text)

    def render(self, messages: Messages, reply: bool = True) -> str:
        """The text of a conversation (`ChatTemplate.render`)."""
        if not self._template:
            raise ValueError(
                "expected a model with a chat template, got one without"
            )
        return self._template.render(messages, reply)

    def conversation(
        self, messages: Messages, reply: bool = True
    ) -> Int[Array, " token"]:
        """The ids of a conversation, with `reply` up to the next answer.

        Special tokens are those that the template writes; what messages
        say is text. No more are added. Raises ValueError as `render`
        does, for a role with a special token in it, and for a template
        to which it matters that a text is like a special token.
        """
        text = self.render(messages, reply)
        check_roles(messages, self.special_tokens)
        stand_ins = StandIns(self.special_tokens, [text, *texts(messages)])
        guarded = [
            message | {"content": stand_ins.guard(message["content"])}
            for message in messages
        ]
        marked = self.render(guarded, reply)
        if stand_ins.restore(marked) != text:
            raise ValueError(
                "expected a chat template that writes special tokens in a "
                "message as they are, got one that changes them"
            )
        parts = split_at_added(marked, self._whole_tokens())
        rows = [
            np.array([part.index])
            if isinstance(part, AddedToken)
            else self.encode_ordinary(stand_ins.restore(part))
            for part in parts
        ]
        return np.concatenate(rows)

    def _whole_tokens(self) -> list[AddedToken]:
        """The added tokens that are looked for in the text as it is."""
        added = self._tokenizer.added
        return [t for t in added if t.special or not t.normalized]


def check_roles(messages: Messages, tokens: Collection[str]) -> None:
    """Raise ValueError for a role with a special token in it."""
    for role in dict.fromkeys(message["role"] for message in messages):
        if any(token in role for token in tokens):
            raise ValueError(
                f"expected a role without special tokens, got {role!r}"
            )


def texts(messages: Messages) -> Iterator[str]:
    """All that messages say."""
    for message in messages:
        yield from message.values()


class StandIns:
    """Characters that stand in for others, so that no token is found.

    Wherever a special token could begin in a text, alone or together
    with what a template writes before or after it, its first character
    is one that is in none of the `texts`.

    >>> stand_ins = StandIns(["<end>"], ["no <end> of <b>"])
    >>> guarded = stand_ins.guard("no <end> of <b>")
    >>> "<end>" in guarded, "<b>" in guarded, stand_ins.restore(guarded)
    (False, True, 'no <end> of <b>')
    """

    def __init__(self, tokens: Collection[str], texts: Sequence[str]):
        used = set().union(*texts)
        self._tokens = tokens
        self._free = (
            chr(code)
            for code in range(LAST_CHARACTER, 0, -1)
            if chr(code) not in used
        )
        self._of: dict[str, str] = {}

    def guard(self, text: str) -> str:
        """The text, without the beginning of any special token."""
        letters = list(text)
        for place in begins(text, self._tokens):
            letter = text[place]
            if letter not in self._of:
                self._of[letter] = next(self._free)
            letters[place] = self._of[letter]
        return "".join(letters)

    def restore(self, text: str) -> str:
        """A text that was guarded, as it had been."""
        letters = {ord(new): old for old, new in self._of.items()}
        return text.translate(letters)


def begins(text: str, tokens: Collection[str]) -> Iterator[int]:
    """Where a token could begin, of which the text may have only a part.

    At 0 it could have begun before the text.

    >>> [*begins("< <a> <", ["<a>"])], [*begins(">", ["<a>"])]
    ([2, 6], [0])
    """
    if any(could_go_on(text, token) for token in tokens):
        yield 0
    firsts = {token[0] for token in tokens}
    for place, letter in enumerate(text):
        if letter in firsts and any(
            token.startswith(text[place : place + len(token)])
            for token in tokens
        ):
            yield place


def could_go_on(text: str, token: str) -> bool:
    """Whether a token that begins before a text could go on in it."""
    rests = (token[cut:] for cut in range(1, len(token)))
    return text != "" and any(
        text.startswith(rest) or rest.startswith(text) for rest in rests
    )
