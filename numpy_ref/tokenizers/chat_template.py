"""Chat template: a conversation as the one text that a model continues.

    [{"role": "user", "content": "Hi"}]  ->  <|im_start|>user
                                             Hi<|im_end|>
                                             <|im_start|>assistant

A model that answers was trained on conversations set in one form, and
answers in no other. The form is a program that comes with the weights
(`chat_sandbox`), and the text that it writes is that of transformers.
Needs the package jinja2.
"""

from collections.abc import Sequence

from . import chat_sandbox
from .chat_sandbox import Refused, Steps, TooLong, sandboxed

KEYS = {"role", "content"}

# Each a dict of these keys and two texts: `check_messages`.
Messages = Sequence


class ChatTemplate:
    """A model's chat template.

    `names` are the special tokens that it may ask for, as transformers
    calls them: "bos_token", "eos_token", ... Raises ValueError for a
    template that is none, and ModuleNotFoundError without jinja2.

    >>> source = "{% for m in messages %}{{ m.role }}: {{ m.content }}\\n"
    >>> template = ChatTemplate(source + "{% endfor %}", {})
    >>> template.render([{"role": "user", "content": "Hi!"}])
    'user: Hi!\\n'
    """

    def __init__(self, source: str, names: dict[str, str]):
        from jinja2 import TemplateError

        self._names = names
        self._steps = Steps()
        try:
            self._template = sandboxed(source, self._steps)
        except (TemplateError, RecursionError, TypeError) as error:
            line = getattr(error, "lineno", None)
            raise ValueError(
                "expected a chat template in Jinja's language, "
                f"got {one_line(error)}" + f" in line {line}" * bool(line)
            ) from None

    def render(self, messages: Messages, reply: bool = True) -> str:
        """The text of a conversation, with `reply` up to the next answer.

        Raises ValueError for messages that are none, for a conversation
        that the template refuses or of which it leaves a role out, and
        for a template that fails, leaves its sandbox or takes too long.
        """
        check_messages(messages)
        text = self._render(messages, reply)
        for role in dict.fromkeys(message["role"] for message in messages):
            self._check_taken(role, messages, text, reply)
        return text

    def _render(self, messages: Messages, reply: bool) -> str:
        from jinja2.exceptions import SecurityError

        self._steps.taken = 0
        try:
            return self._template.render(
                messages=[dict(message) for message in messages],
                tools=None,
                documents=None,
                add_generation_prompt=reply,
                **self._names,
            )
        except Refused as error:
            expected = "conversation that the chat template takes"
            got = f"its refusal: {one_line(error)}"
        except SecurityError as error:
            expected = "chat template that stays in its sandbox"
            got = one_line(error)
        except TooLong:
            most = chat_sandbox.MOST_STEPS
            expected = f"chat template of at most {most:,} steps"
            got = "one that takes more"
        except Exception as error:  # a template can fail as Python can
            expected = "chat template that can be rendered"
            got = f"{type(error).__name__}: {one_line(error)}"
        raise ValueError(f"expected a {expected}, got {got}")

    def _check_taken(
        self, role: str, messages: Messages, text: str, reply: bool
    ) -> None:
        """Raise ValueError where a template leaves a role out unsaid.

        That is: nothing that was said in the role is in the text, and
        the text is the same without it.
        """
        said = [m["content"].strip() for m in messages if m["role"] == role]
        if not any(said) or any(words and words in text for words in said):
            return
        others = [m for m in messages if m["role"] != role]
        try:
            same = self._render(others, reply) == text
        except ValueError:
            return
        if same:
            raise ValueError(
                "expected roles that the chat template takes, "
                f"got {role!r}, which it leaves out"
            )


def check_messages(messages: Messages) -> None:
    """Raise ValueError unless all are a role and a content, as texts."""
    if not messages:
        raise ValueError("expected at least one message, got none")
    for message in messages:
        if not isinstance(message, dict) or message.keys() != KEYS:
            got = sorted(message) if isinstance(message, dict) else message
            raise ValueError(
                f"expected a message of role and content, got {got!r}"
            )
        for key, value in message.items():
            if not isinstance(value, str):
                raise ValueError(
                    f"expected the {key} of a message to be a text, "
                    f"got {type(value).__name__}"
                )


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())
