"""A chat: messages, and the cache of all that was said."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from numpy import ndarray as Array

from .models import WritingModel, at_speed
from .writing import SamplingSettings, write


class Chat:
    """A conversation with a model.

    The cache keeps what was read and written. What the chat template
    makes of the next message begins with the same tokens, so only what
    follows them is read.
    """

    def __init__(
        self,
        model: WritingModel,
        sampling: SamplingSettings,
        length: int,
        system: str | None = None,
        stops: Sequence[str] = (),
    ):
        """Raises ValueError for a model without a chat template."""
        if not model.tokenizer.chats:
            raise ValueError(
                "expected a model with a chat template, got "
                f"{model.folder.about}"
            )
        self.model, self.length, self.stops = model, length, stops
        self.sampling = sampling
        self.messages: list[dict[str, str]] = []
        if system is not None:
            self.messages.append({"role": "system", "content": system})
        decoding = model.decoding(model.config.positions)
        self.decoding = at_speed(decoding)

    def answer(self, message: str) -> Iterator[str]:
        """The answer to a message, piece by piece.

        Raises ValueError when the conversation is too long for the model,
        with the message left out of it.
        """
        messages = [*self.messages, {"role": "user", "content": message}]
        ids = self.model.tokenizer.conversation(messages)
        self.check_room(ids)
        new = self.decoding.unread(ids)
        sampling = replace(
            self.sampling, seed=self.sampling.seed + len(ids)
        )
        pieces = write(
            *(new, self.decoding, self.model.tokenizer.tokens),
            *(self.length, sampling, self.model.tokenizer.ends, self.stops),
        )
        said = []
        try:
            for piece in pieces:
                said.append(piece)
                yield piece
        finally:
            spoken = {"role": "assistant", "content": "".join(said)}
            self.messages = [*messages, spoken]

    def check_room(self, ids: Array) -> None:
        """Raise ValueError unless the conversation and an answer fit."""
        positions = self.model.config.positions
        if len(ids) + self.length > positions:
            raise ValueError(
                "expected a conversation and an answer that fit "
                f"{positions} positions, got {len(ids)} + {self.length}"
            )
