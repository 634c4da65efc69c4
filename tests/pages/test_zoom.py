"""Zooming a line chart in a browser: what is in view after keys and drags."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lorascope.pages.document import document
from lorascope.pages.lines import line_chart
from lorascope.pages.series import Series

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
TOOLS = """
const plot = document.querySelector(".ls-plot"), svg = plot.querySelector("svg");
svg.setPointerCapture = () => {}; // knows only pointers of people
const view = () => plot.dataset.x.split(" ").map(Number);
const key = (name) => svg.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
const drag = (from, to) => {
  const frame = svg.getBoundingClientRect();
  for (const [kind, at] of [["pointerdown", from], ["pointermove", to], ["pointerup", to]])
    svg.dispatchEvent(new PointerEvent(kind, { clientX: frame.left + at * frame.width }));
};
const ticks = () => [...plot.querySelectorAll(".ls-x.ls-zoom-tick")].map((tick) => tick.textContent);
const told = [];
"""


def after(actions: str, chart: list[Series], folder: Path) -> Any:
    """What a script on a page with a chart has told."""
    end = "document.body.dataset.told = JSON.stringify(told);"
    page = folder / "page.html"
    page.write_text(
        document(
            "zoom",
            body=line_chart(chart, x_label="step", y_label="loss"),
            scripts=["{" + TOOLS + actions + end + "}"],
        )
    )
    done = subprocess.run(
        [
            *[str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=900,700"],
            *[f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()],
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r'data-told="([^"]*)"', done.stdout)
    assert found is not None, done.stderr
    return json.loads(html.unescape(found[1]))


def steps(*at: int) -> list[Series]:
    return [Series("training", at, [3 - one / (2 * at[-1]) for one in at])]


def num_in(view: list[float], at: range) -> int:
    return sum(view[0] <= one <= view[1] for one in at)


def test_however_often_one_zooms_three_steps_stay_in_view(tmp_path: Path) -> None:
    told = after(
        'for (let n = 0; n < 40; n++) { key("+"); told.push(view()); } told.push(ticks());',
        steps(*range(1, 101)),
        tmp_path,
    )
    *views, ticks = told
    assert min(num_in(view, range(1, 101)) for view in views) == 3
    assert views[-1] == views[-2] and views[-1][1] - views[-1][0] < 3
    # From 1 to 100 the middle is 50.5; of 49 and 52, which are as near, the first is taken.
    assert ticks == ["49", "50", "51"]  # no mark between two steps


def test_a_drag_between_two_evaluations_shows_the_nearest_ones(tmp_path: Path) -> None:
    # Ten steps apart, 0 to 100: 0.44 to 0.46 of the axis are steps 44 to 46, between the evaluations.
    told = after("drag(0.44, 0.46); told.push(view());", steps(*range(0, 101, 10)), tmp_path)
    low, high = told[0]
    assert num_in([low, high], range(0, 101, 10)) == 3 and low < 40 and high > 50


def test_a_drag_over_enough_points_shows_what_was_dragged_over(tmp_path: Path) -> None:
    told = after("drag(0.2, 0.6); told.push(view());", steps(*range(0, 101, 10)), tmp_path)
    assert told[0] == [pytest.approx(20, abs=0.5), pytest.approx(60, abs=0.5)]


def test_zooming_out_ends_with_all_of_it(tmp_path: Path) -> None:
    zoomed = 'told.push(plot.classList.contains("ls-zoomed"));'
    told = after(
        f'key("-"); {zoomed} key("+"); {zoomed} key("-"); {zoomed} told.push(view());',
        steps(*range(1, 101)),
        tmp_path,
    )
    assert told == [False, True, False, [1, 100]]


def test_of_a_part_the_read_out_names_steps_that_are_in_it(tmp_path: Path) -> None:
    name = 'told.push(plot.querySelector(".ls-read-out b").textContent);'
    told = after(
        f'drag(0.39, 0.61); key("End"); {name} key("ArrowRight"); {name} key("Home"); {name}',
        steps(*range(0, 101, 10)),
        tmp_path,
    )
    assert told == ["step 60", "step 60", "step 40"]
