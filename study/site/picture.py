"""Picture of the site for the README: a step of attention, side by side.

    twice study --no-open && python -m study.site.picture

takes it from the site in `site`, in a Chromium without network, and writes
`docs/site.png`. It needs the extra `browser`.
"""

import os
import shutil
import sys
from pathlib import Path

WIDTH, SCALE = 1500, 1
STEPS = "#masked-softmax .steps > .step"
FIRST, LAST = "allowed", "maximum"  # the steps of the picture


def take(page: Path, path: Path) -> None:
    """Write a picture of the attention page's rows, in light colours."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("ATTENTION_TWICE_BROWSER")
            or shutil.which("chromium"),
            args=["--no-sandbox"],
        )
        tab = browser.new_page(
            viewport={"width": WIDTH, "height": 900},
            device_scale_factor=SCALE,
            color_scheme="light",
        )
        tab.goto(page.resolve().as_uri())
        first, last = (
            tab.locator(STEPS, has_text=name).first.bounding_box()
            for name in (FIRST, LAST)
        )
        height = last["y"] + last["height"] - first["y"]
        tab.screenshot(
            path=path, full_page=True, clip=first | {"height": height}
        )
        browser.close()


if __name__ == "__main__":
    site, picture = [*sys.argv[1:], "site", "docs/site.png"][:2]
    take(Path(site, "html", "reference", "attention.html"), Path(picture))
