"""The pages: their links, their examples, and the map of the files."""

import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from study.command import app

HOUSE = Path(__file__).parents[3]
README = HOUSE / "README.md"
MAP = HOUSE / "docs" / "reading_order.md"
PAGES = [
    README,
    HOUSE / "CONTRIBUTING.md",
    *sorted((HOUSE / "docs").glob("*.md")),
]
TWICE = get_command(app)
MOST_LINES = 130
MOST_BYTES = 150_000

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(
    r"^<!-- printed by: (.+) -->\n```text\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# What depends on the machine: a small difference, a share of a bound.
ROUNDING = re.compile(r"difference \S+?,|at \d+%")

FOLDERS = [
    HOUSE / name
    for name in ("numpy_ref", "parity_tests", "bert_viz", "torch_impl")
]
# What the map is of. A link to one of these names none of its files: each
# has a line of its own, or stands in a room that has one.
MAPPED = FOLDERS[:3]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(HOUSE).as_posix()


def anchors(text: str) -> set[str]:
    """What a code host calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


def broken_links(page: Path) -> list[str]:
    return [
        link
        for link in LINK.findall(text_of(page))
        if "://" not in link and not leads_somewhere(page, link)
    ]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (
        not anchor or anchor in anchors(text_of(target))
    )


def linked(page: Path) -> set[Path]:
    links = LINK.findall(text_of(page))
    return {
        (page.parent / link.partition("#")[0]).resolve()
        for link in links
        if "://" not in link
    }


def blocks(page: Path, language: str) -> list[str]:
    return [
        code
        for kind, code in BLOCK.findall(text_of(page))
        if kind == language
    ]


def failures(session: str, name: str) -> str:
    """What doctest says of a session; nothing when all is as it stands."""
    test = doctest.DocTestParser().get_doctest(session, {}, name, None, 0)
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS, verbose=False
    )
    report: list[str] = []
    runner.run(test, out=report.append)
    return "".join(report)


def not_printed(excerpt: str, output: str) -> list[str]:
    """The parts of an excerpt, between lines of `…`, that are missing.

    They must come in their order; ROUNDING may be another.
    """
    rest, missing = ROUNDING.sub("", output), []
    parts = re.split(r"^…\n", excerpt, flags=re.MULTILINE)
    for part in filter(None, parts):
        _, match, after = rest.partition(ROUNDING.sub("", part))
        if match:
            rest = after
        else:
            missing.append(part)
    return missing


def commands(page: Path) -> Iterator[str]:
    """Every call of `twice` in a block of shell or as code in a line."""
    text = text_of(page)
    inline = re.findall(r"`(twice[^`\n]*)`", BLOCK.sub("", text))
    in_blocks = [
        line for code in blocks(page, "sh") for line in code.splitlines()
    ]
    yield from inline
    yield from (line for line in in_blocks if line.startswith("twice"))


def options_of(command) -> set[str]:
    return {"--help", "-h"} | {
        option
        for parameter in command.params
        for option in [*parameter.opts, *parameter.secondary_opts]
    }


def unknown_options(call: str) -> list[str]:
    """The options of a call that its command does not have."""
    words = shlex.split(call)[1:]
    command = TWICE
    if words and words[0] in TWICE.commands:
        command = TWICE.commands[words[0]]
    known = options_of(command)
    return [w for w in words if w.startswith("-") and w not in known]


def options_of_no_command(text: str) -> list[str]:
    """The options that stand alone, as `--kind`, and are nowhere."""
    known = options_of(TWICE).union(
        *map(options_of, TWICE.commands.values())
    )
    options = re.findall(r"`(--[\w-]+)", BLOCK.sub("", text))
    return [option for option in options if option not in known]


def unmapped(mapped: set[Path], files: list[Path]) -> list[str]:
    """The files that the map names neither themselves nor by a room."""
    return [
        name_of(path)
        for path in files
        if not any(
            place in mapped and place not in MAPPED
            for place in (path, *path.parents)
        )
    ]


def unknown_files(text: str) -> list[str]:
    """The names of files of Python in a text that no file has."""
    known = {p.name for folder in FOLDERS for p in folder.rglob("*.py")}
    names = re.findall(r"\w+\.py\b", text)
    return [name for name in names if name not in known]


def with_page(page: Path, *rest: str):
    """A test's parameter; a slow one where whole attentions are judged."""
    judges = page.name == "judge.md"
    marks = pytest.mark.slow if judges else ()
    name = ": ".join([name_of(page), *rest[:1]])
    return pytest.param(page, *rest, marks=marks, id=name)


def with_session() -> list:
    return [with_page(page) for page in PAGES if blocks(page, "pycon")]


def printed() -> list:
    """Each excerpt of what a command prints, with its page and the call."""
    return [
        with_page(page, *match)
        for page in PAGES
        for match in PRINTED.findall(text_of(page))
    ]


EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=name_of)


def test_the_front_page_is_short():
    assert len(text_of(README).splitlines()) <= MOST_LINES


def test_the_reading_order_stands_on_the_first_screen():
    screen = "\n".join(text_of(README).splitlines()[:45])
    for file in ("attention", "gpt2_on_one_page", "gpt2_training"):
        assert f"(numpy_ref/{file}.py)" in screen, file


@EACH_PAGE
def test_every_link_leads_to_a_file(page):
    assert broken_links(page) == []


def test_every_page_stands_in_the_list_of_pages():
    index = HOUSE / "docs" / "README.md"
    assert set(PAGES) - {index} <= linked(index)


@pytest.mark.parametrize(
    "name", ["heads.png", "site.png", "half_precision.png", "tiles.png"]
)
def test_a_picture_is_small(name):
    assert (HOUSE / "docs" / name).stat().st_size < MOST_BYTES


@pytest.mark.parametrize("page", with_session())
def test_every_session_is_as_it_stands(page):
    # The blocks of a page are one session, with blank lines between them.
    session = "\n".join(blocks(page, "pycon"))
    assert failures(session, name_of(page)) == ""


@pytest.mark.parametrize(("page", "call", "excerpt"), printed())
def test_what_a_command_prints_is_as_it_stands(
    page, call, excerpt, twice, monkeypatch
):
    monkeypatch.chdir(HOUSE)
    _, output, _ = twice(*shlex.split(call)[1:])
    assert not_printed(excerpt, output) == []


def test_the_front_page_has_a_session_and_an_excerpt():
    for parameters in (with_session(), printed()):
        assert README in {parameter.values[0] for parameter in parameters}


@EACH_PAGE
def test_every_option_of_a_call_is_known(page):
    for call in commands(page):
        assert unknown_options(call) == [], call
    assert options_of_no_command(text_of(page)) == []


def test_the_map_names_every_file_of_the_library():
    files = [
        path
        for folder in MAPPED
        for path in sorted(folder.rglob("*.py"))
        if path.name != "__init__.py"
    ]
    assert unmapped(linked(MAP), files) == []


def test_every_file_that_the_map_spells_out_is_there():
    assert unknown_files(text_of(MAP)) == []


@pytest.fixture
def page(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "page.md"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_broken_link_is_found(page):
    text = (
        "# One page\n[a](page.md) [b](page.md#one-page) [c](#one-page)\n"
        "[d](https://example.org/none) [e](none.py) [f](page.md#two)\n"
        "![two\nlines](none.png)"
    )
    assert broken_links(page(text)) == [
        *("none.py", "page.md#two", "none.png")
    ]


def test_a_session_that_is_otherwise_is_found(page):
    text = "```pycon\n>>> 1 + 1\n3\n```\n```python\nother\n```\n"
    (session,) = blocks(page(text), "pycon")
    assert "Got:\n    2" in failures(session, "page.md")
    assert failures(">>> 1 + 1\n2\n", "page.md") == ""


def test_an_excerpt_that_is_otherwise_is_found():
    output = "S = Q K\nlargest difference 4.8e-07, bound 1\nO = A V\n"
    excerpt = "S = Q K\nlargest difference 0, bound 1\n…\nO = A V\n"
    assert not_printed(excerpt, output) == []
    assert not_printed("O = A V\n…\nS = Q K\n", output) == ["S = Q K\n"]
    assert not_printed("largest difference 0, bound 2\n", output)


def test_an_option_that_there_is_not_is_found(page):
    text = "`twice --none` and\n```sh\ntwice train --length 3\n```\n"
    calls = [*commands(page(text))]
    assert calls == ["twice --none", "twice train --length 3"]
    assert [unknown_options(call) for call in calls] == [
        *(["--none"], ["--length"])
    ]
    assert unknown_options('twice view "a -b" --no-special') == []
    table = "`--kind` and `--blue 3`\n```sh\npip `--no`\n```\n"
    assert options_of_no_command(table) == ["--blue"]


def test_a_file_that_is_not_on_the_map_is_found():
    numpy_ref = MAPPED[0]
    masks, room = numpy_ref / "masks.py", numpy_ref / "fast"
    files = [masks, room / "tiles.py", numpy_ref / "new.py"]
    assert unmapped({numpy_ref, masks, room}, files) == ["numpy_ref/new.py"]


def test_a_file_that_is_not_there_is_found():
    text = "`masks.py`, [none.py](masks.py), numpy_ref/nowhere.py"
    assert unknown_files(text) == ["none.py", "nowhere.py"]
