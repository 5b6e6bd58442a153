"""Chat templates; transformers is the oracle."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from numpy_ref.tokenizers import chat_sandbox
from numpy_ref.tokenizers.chat_template import ChatTemplate
from parity_tests.tests.tokenizers.ggufs import smollm2_metadata
from study.command import missing

NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

PLAIN = """
{%- for message in messages %}
    {{- '<|' + message['role'] + '|>' + message.content + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{% endif %}
"""
# Blocks with white space around them, which transformers takes away.
ROOMY = """{{ bos_token }}
{% for message in messages %}
    {% if message.role == 'system' %}
    [{{ message.content | trim }}]
    {% continue %}
    {% endif %}
{{ loop.index }}/{{ loop.length }} {{ message.content | tojson }}
    {% if loop.index > 6 %}
        {% break %}
    {% endif %}
{% endfor %}
"""
# Takes turns, or raises, as Mistral's do; remembers in a namespace.
IN_TURN = """{{ bos_token }}
{%- set seen = namespace(count=0, names=dict(a=1)) %}
{%- for message in messages -%}
    {%- if (message.role == 'user') != (seen.count % 2 == 0) -%}
        {{ raise_exception('roles must\\n alternate: ' + message.role) }}
    {%- endif -%}
    {%- set seen.count = seen.count + 1 -%}
    {% generation %}{{ message.content }}{% endgeneration %}
{%- endfor %}{{ seen.count }}{{ unk_token }}{{ pad_token }}
{%- if tools is none and not documents %}?{% endif %}"""
# Macros, filters, tests, slices and a date.
RICH = """
{%- macro said(message, depth=1) -%}
    {{ '#' * depth }}{{ message.role | upper }}: {{ message.content[:9] }}
{%- endmacro -%}
{%- for message in messages[::-1] if message.role is defined -%}
    {{ said(message, depth=loop.revindex) | indent(2) }};
    {%- if '</think>' in message.content -%}
        {{ message.content.split('</think>')[-1].lstrip('\\n') }}
    {%- endif -%}
{%- else -%}nobody{%- endfor -%}
{{ strftime_now('%Y') }}{{ {'b': 1, 'a': '<é>'} | tojson(indent=1) }}
{%- for key, value in (messages | first).items() %}{{ key }},{% endfor %}
{%- for x in [1, 2, 3] %}{{ loop.last }}{{ loop.nextitem }}{% endfor %}
{%- for x in [[1], [2, [3]]] recursive %}
{%- if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}
{%- endfor %}
"""
TEMPLATES = {
    "plain": PLAIN,
    "roomy": ROOMY,
    "in turn": IN_TURN,
    "rich": RICH,
    "nothing but text": "Hello {# not this #}\n",
}

CONTENT = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *("", "\n a ", "<b>&'\"", "{{ messages }}", "{% raw %}", "\\n"),
            *("<think>\nx</think>\n\ny", "<|user|>", "</s>", "%s{0}"),
            *("é😀\u2028", "\ufdd0"),
        ]
    ),
)


def message(role: str, content: str = "Hi") -> dict:
    return {"role": role, "content": content}


def by_transformers(source: str, messages, reply: bool) -> str:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE()), **NAMES
    )
    return tokenizer.apply_chat_template(
        messages,
        chat_template=source,
        tokenize=False,
        add_generation_prompt=reply,
    )


CONVERSATION = st.lists(CONTENT, min_size=1, max_size=8).map(
    lambda contents: [
        message(("user", "assistant")[index % 2], content)
        for index, content in enumerate(contents)
    ]
)


@pytest.mark.parametrize("kind", TEMPLATES)
@given(messages=CONVERSATION, reply=st.booleans())
def test_a_rendered_conversation_is_that_of_transformers(
    kind, messages, reply
):
    source = TEMPLATES[kind]
    expected = by_transformers(source, messages, reply)
    text = ChatTemplate(source, NAMES)._render(messages, reply)
    assert text == expected


@given(
    st.lists(
        st.builds(message, st.sampled_from(["system", "user"]), CONTENT),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_smollm2_s_template_is_rendered_as_by_transformers(messages, reply):
    source = smollm2_metadata()["tokenizer.chat_template"]
    expected = by_transformers(source, messages, reply)
    assert ChatTemplate(source, NAMES).render(messages, reply) == expected


def test_smollm2_is_told_its_name_unless_it_is_told_another():
    source = smollm2_metadata()["tokenizer.chat_template"]
    template = ChatTemplate(source, {})
    text = template.render([message("user")])
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assis")
    assert text.endswith(
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    text = template.render([message("system", "Hum."), message("user")])
    assert text.startswith("<|im_start|>system\nHum.<|im_end|>\n")


def test_a_message_is_not_a_template():
    text = ChatTemplate(PLAIN, NAMES).render(
        [message("user", "{{ 7 * 6 }}")]
    )
    assert "{{ 7 * 6 }}" in text


def test_messages_are_left_as_they_were():
    messages = [message("user")]
    ChatTemplate("{{ messages[0].update({'a': 1}) }}", {})
    ChatTemplate(PLAIN, NAMES).render(messages)
    assert messages == [message("user")]


def test_without_jinja2_the_extra_that_brings_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ModuleNotFoundError) as error:
        ChatTemplate(PLAIN, NAMES)
    assert 'pip install "attention-twice[llama]"' in missing(error.value)


BROKEN = {
    "for without end": "{% for m in messages %}{{ m.content }}",
    "unknown tag": "{{ bos_token }}\n{% loop %}",
    "unknown filter": "{{ messages | shout }}",
    "half an expression": "{{ messages[ }}",
    "another's end": "{% if messages %}{% endfor %}",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_template_that_is_none_is_refused_when_it_is_read(kind):
    with pytest.raises(
        ValueError, match=r"^expected a chat temp.* in line "
    ):
        ChatTemplate(BROKEN[kind], NAMES)


def test_a_template_that_is_too_deep_is_refused():
    deep = "{{ " + 9999 * "(" + " }}"
    with pytest.raises(ValueError, match="expected a chat template in"):
        ChatTemplate(deep, NAMES)


def test_the_line_of_the_mistake_is_told():
    with pytest.raises(
        ValueError, match=r"unknown tag 'loop'\. in line 2$"
    ):
        ChatTemplate(BROKEN["unknown tag"], NAMES)


SELF = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"
WRONG = {
    "a class": (
        "{{ ''.__class__.__mro__ }}",
        "that stays in its sandbox, got access to attribute '__class__'",
    ),
    "globals": ("{{ raise_exception.__globals__.a }}", "its sandbox, got"),
    "a format": ("{{ '{0.__class__.a}'.format(1) }}", "its sandbox, got"),
    "a subclass": (
        "{{ dict.__subclasses__() }}",
        "Undefined.* 'function ",
    ),
    "changing": ("{{ messages.append(1) }}", "in its sandbox, got"),
    "a namespace": ("{{ namespace(__init__=1) }}", "in its sandbox, got"),
    "another": (
        "{% set n = namespace() %}{% set n.__class__ = 1 %}",
        "in its sandbox, got",
    ),
    "refusal": (
        "{{ raise_exception('only\n two  roles') }}",
        "conversation that the chat template takes, got its refusal: only "
        "two roles$",
    ),
    "undefined": (
        "{{ nobody.name }}",
        "got UndefinedError: 'nobody' is un",
    ),
    "a type": ("{{ 1 + 'a' }}", "can be rendered, got TypeError: "),
    "zero": ("{{ 1 / 0 }}", "can be rendered, got ZeroDivisionError: "),
    "a range": ("{{ range(10 ** 9) }}", "rendered, got OverflowError: "),
    "without end": (SELF, "can be rendered, got RecursionError: "),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_template_that_fails_is_told_in_one_line(kind):
    source, expected = WRONG[kind]
    template = ChatTemplate(source, NAMES)
    with pytest.raises(
        ValueError, match=rf"^expected a .*{expected}"
    ) as error:
        template.render([message("user")])
    assert "\n" not in str(error.value)


ROUNDS = "{% for a in range(9) %}"
LONG = {
    "loops": 5 * ROUNDS + 5 * "{% endfor %}",
    "macros": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}"
    "{% endif %}{% endmacro %}{{ f(15) }}",
    "a tree": "{% for a in range(9) recursive %}{% if loop.depth < 5 %}"
    "{{ loop(range(9)) }}{% endif %}{% endfor %}",
}


@pytest.mark.parametrize("kind", LONG)
def test_a_template_that_takes_too_long_is_stopped(kind, monkeypatch):
    template = ChatTemplate(LONG[kind], {})
    monkeypatch.setattr(chat_sandbox, "MOST_STEPS", 10_000)
    with pytest.raises(
        ValueError, match="of at most 10,000 steps, got one"
    ):
        template.render([message("user")])
    assert template._steps.taken == 10_001


def test_each_round_of_a_tree_and_each_call_is_a_step():
    source = (
        "{% for a in [1] recursive %}{% if loop.depth < 2 %}"
        "{{ loop(range(99)) }}{% endif %}{% endfor %}"
    )
    template = ChatTemplate(source, {})
    template._render([message("user")], True)
    assert template._steps.taken == 1 + 2 + 99


def test_steps_are_those_of_one_rendering():
    template = ChatTemplate(PLAIN, NAMES)
    for _ in range(3):
        template._render([message("user"), message("assistant")], True)
    assert template._steps.taken == 2


ODD = {
    "none": ([], "at least one message, got none"),
    "a text": (["Hi"], "a message of role and content, got 'Hi'"),
    "no role": (
        [{"content": "Hi"}],
        r"a message of .* got \['content'\]",
    ),
    "more": (
        [{"role": "user", "content": "Hi", "name": "Ann"}],
        "a message of role and content, got .*'name'",
    ),
    "parts": (
        [{"role": "user", "content": [{"type": "text"}]}],
        "the content of a message to be a text, got list",
    ),
    "nothing": (
        [{"role": None, "content": ""}],
        "the role .*, got NoneType",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_messages_that_are_odd_are_refused(kind):
    messages, expected = ODD[kind]
    with pytest.raises(ValueError, match=f"^expected {expected}"):
        ChatTemplate(PLAIN, NAMES).render(messages)


ONLY_USERS = """{% for m in messages %}{% if m.role == 'user' %}
{{- m.content }}.{% endif %}{% endfor %}"""


def test_a_role_that_a_template_leaves_out_is_refused():
    template = ChatTemplate(ONLY_USERS, {})
    assert template.render([message("user")]) == "Hi."
    messages = [message("user"), message("critic", "Boo")]
    with pytest.raises(
        ValueError, match="takes, got 'critic', which it le"
    ):
        template.render(messages)
    messages[1] = message("critic", "")  # has said nothing
    assert template.render(messages) == "Hi."


def test_what_a_template_would_have_said_itself_is_not_left_out():
    source = smollm2_metadata()["tokenizer.chat_template"]
    template = ChatTemplate(source, {})
    own = (
        "You are a helpful AI assistant named SmolLM, trained by Hugging F"
    )
    messages = [message("system", f"{own}ace"), message("user")]
    assert template.render(messages) == template.render(messages[1:])
