"""The notebook's interactive views, in JupyterLab in a browser.

A server on this machine, an executed notebook, and Chromium, which may
reach nothing but that server. Each frame is scrolled to, as a reader
would: JupyterLab keeps only what is near in its page.

These tests need the extras `lab` and `browser`, and a Chromium, as the
others of this folder do. Without, they are skipped; but in CI, where
`-m browser` asks for them, they fail.
"""

import os
import re
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.sign import NotebookNotary

from study.notebooks.command import build

from .page import executable, reason_against, skip_without

# All in one process, which has the server.
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("notebook")]

NAME = "real_bert"
TOKEN = "of-this-test-only"
PATIENCE = 30  # seconds
NOT_NEEDED = re.compile(r"^ *(picture|check|solve)\(", re.M)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# --- what is needed, or why it is missing ---------------------------------


@pytest.fixture(scope="module", autouse=True)
def is_there(request):
    needed = {"jupyterlab": "lab", "playwright": "browser"}
    skip_without(request, reason_against(needed))


# --- an executed notebook, on a server of its own -------------------------


def has_frame(cell) -> bool:
    return "frame.show(" in cell.source


@pytest.fixture(scope="module")
def folder(is_there, tmp_path_factory):
    made = tmp_path_factory.mktemp("lab")
    (made / "data").mkdir()
    return made


@pytest.fixture(scope="module")
def notebook(folder):
    """The cells with frames, and those they need, executed and trusted."""
    built = build(NAME)
    last = max(n for n, cell in enumerate(built.cells) if has_frame(cell))
    built.cells = [
        cell
        for cell in built.cells[: last + 1]
        if has_frame(cell) or not NOT_NEEDED.search(cell.source)
    ]
    NotebookClient(built, kernel_name="python3", timeout=120).execute()
    nbformat.write(built, folder / f"{NAME}.ipynb")
    # JupyterLab runs no scripts of a notebook that nobody here has run.
    notary = NotebookNotary(data_dir=str(folder / "data"))
    notary.sign(built)
    notary.store.close()
    return built


@pytest.fixture(scope="module")
def server(folder, notebook):
    """The address of a JupyterLab without any settings of its user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {
        name: str(folder / name.split("_")[-2].lower())
        for name in (
            *("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"),
            *("JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR"),
            "JUPYTERLAB_WORKSPACES_DIR",
        )
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": TOKEN,
    }
    command += [f"--{name}={value}" for name, value in options.items()]
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **folders, "IPYTHONDIR": str(folder / "ip")},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/api", process, log.name)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def wait_for(address: str, process, log: str) -> None:
    """Wait until a server answers there."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            urlopen(address, timeout=PATIENCE).close()
        except (URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    with open(log, encoding="utf-8") as lines:
        pytest.fail(f"no JupyterLab came up: {lines.read()[-2000:]}")


# --- in a browser ---------------------------------------------------------


@pytest.fixture
def opened(server):
    """The notebook in a tab; fails if anything unexpected has happened."""
    from playwright.sync_api import sync_playwright

    unexpected = []

    def answer(route):
        if route.request.url.startswith((f"{server}/", "data:", "blob:")):
            route.continue_()
        else:
            unexpected.append(f"request: {route.request.url[:99]}")
            route.abort()

    def said(message):
        # What JupyterLab itself has to say is not ours, and that a canvas
        # is read back is the test's doing.
        at_home = message.location["url"].startswith(server)
        if not at_home and not message.text.startswith("Canvas2D"):
            unexpected.append(f"{message.type}: {message.text}")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable(), args=[*QUIET]
        )
        context = browser.new_context(
            viewport={"width": 1280, "height": 1000}
        )
        context.set_default_timeout(1000 * PATIENCE)
        context.route("**/*", answer)
        context.on(
            "weberror", lambda event: unexpected.append(f"{event.error}")
        )
        context.on("console", said)
        tab = context.new_page()
        tab.goto(f"{server}/lab/tree/{NAME}.ipynb?token={TOKEN}")
        tab.wait_for_selector(".jp-Notebook .jp-MarkdownOutput h1")
        yield tab
        browser.close()
    assert not unexpected, "\n".join(["unexpected:", *unexpected[:9]])


def starts_of(notebook) -> list[str]:
    """What each frame shows first, as the notebook's outputs have it."""
    frames = [
        output.data["text/html"]
        for cell in notebook.cells
        if has_frame(cell)
        for output in cell.outputs
    ]
    quoted = re.compile(r"&quot;start&quot;:&quot;(.*?)&quot;")
    return [quoted.search(one)[1].replace("&amp;", "&") for one in frames]


SEEN = """window.attentionPage && attentionPage.ready.then(() => ({
  view: attentionPage.state.view,
  drawn: attentionPage.lastDraw.view,
  start: JSON.parse(document.getElementById("data").textContent).start,
  fits: document.querySelector(".words").getBoundingClientRect().top
    <= innerHeight,
  messages: document.querySelectorAll(".panel .message").length,
  inked: Array.from(document.querySelectorAll(
    ".panel :not(.enlarged) > canvas"))
    .filter((one) => one.width > 1 && one.height > 1).map((canvas) => {
      const { width, height } = canvas;
      const ink = canvas.getContext("2d");
      const { data } = ink.getImageData(0, 0, width, height);
      const words = new Uint32Array(data.buffer);
      return words.some((one) => one !== words[0]);
    }),
}))"""


def frames_seen(tab, most: int) -> dict[str, dict]:
    """What each frame has drawn, by its start, from top to bottom."""
    seen = {}
    tab.hover(".jp-Notebook")
    end = time.monotonic() + PATIENCE
    while len(seen) < most and time.monotonic() < end:
        for shown in tab.query_selector_all("iframe[srcdoc]"):
            drawn = drawn_in(shown)
            if drawn:
                seen[drawn["start"]] = drawn
        # The wheel over a frame is the frame's.
        tab.evaluate(FURTHER)
        tab.wait_for_timeout(200)
    return seen


FURTHER = """() => {
  const all = document.querySelectorAll(".jp-WindowedPanel-outer");
  for (const one of all) one.scrollBy(0, 500);
}"""


def drawn_in(shown) -> dict | None:
    """What a frame has drawn; None while it loads, or when it is gone."""
    from playwright.sync_api import Error

    try:
        frame = shown.content_frame()
        return frame and frame.evaluate(SEEN)
    except Error as error:
        if re.search(r"detached|destroyed|closed", str(error)):
            return None
        raise


def test_jupyterlab_shows_each_interactive_view(opened, notebook):
    starts = starts_of(notebook)
    assert len(starts) == sum(map(has_frame, build(NAME).cells))
    seen = frames_seen(opened, len(starts))
    assert seen.keys() == {*starts}
    for start, drawn in seen.items():
        view = re.search(r"view=(\w+)", start)[1]
        assert drawn["view"] == drawn["drawn"] == view
        assert not drawn["messages"], start
        assert all(drawn["inked"]), start
        assert drawn["inked"] or view == "metrics", start
        assert drawn["fits"] or view != "head", start  # else it is cut off
    views = {drawn["view"] for drawn in seen.values()}
    assert views == {"model", "head", "neuron", "metrics"}
