"""The documentation says what the declarations say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from sweeprl import registry

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TABLES = runpy.run_path(str(DOCS / "tables.py"))
PAGES = TABLES["pages"]()
FRAMES = sorted(registry.frames.names())


def page_of(frame: str) -> str:
    return (DOCS / "frames" / f"{frame.lower()}.md").read_text(encoding="utf-8")


def kept(ours: Any, theirs: Any) -> Any:
    """Our value of what the predecessor had, in its sections too."""
    if not isinstance(theirs, dict) or not theirs:
        return ours
    return {key: kept(ours[key], value) for key, value in theirs.items()}


def named_in(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_tables_are_fresh(page):
    text = page.read_text(encoding="utf-8")
    assert TABLES["render"](text) == text, "run: python docs/tables.py"


@pytest.mark.parametrize("frame", FRAMES)
def test_every_frame_has_a_page_with_its_table(frame):
    assert f"<!-- table: {frame} -->" in page_of(frame)


@pytest.mark.parametrize("frame", FRAMES)
def test_a_page_has_a_row_for_every_setting(frame):
    rows = set(re.findall(r"^\| `(\w+)` \|", page_of(frame), re.MULTILINE))
    assert set(registry.frames.get(frame).Config.model_fields) <= rows


@pytest.mark.parametrize("frame", FRAMES)
def test_a_page_names_what_the_predecessor_did_not_have(frame, frame_defaults):
    if frame not in frame_defaults:
        pytest.skip("the predecessor had no such frame")
    ours = registry.frames.get(frame).Config().model_dump()
    theirs = frame_defaults[frame]
    sentence = re.search(r"^New keys.*?\.$", page_of(frame), re.MULTILINE | re.DOTALL)[0]
    listed = named_in(sentence.partition(". ")[0])
    assert listed == set(ours) - set(theirs)
    assert kept(ours, theirs) == theirs


@pytest.mark.parametrize(
    "page, table",
    [
        ("config.md", "TrialConfig"),
        ("config.md", "Evaluation"),
        ("environments.md", "GymnasiumConfig"),
        ("environments.md", "TorchConfig"),
        ("environments.md", "PettingZooConfig"),
    ],
)
def test_the_other_tables_have_a_place(page, table):
    assert f"<!-- table: {table} -->" in (DOCS / page).read_text(encoding="utf-8")


def test_a_stale_table_is_found():
    stale = "<!-- table: DQN -->\n| `old` | key |\n<!-- end -->\n"
    fresh = TABLES["render"](stale)
    assert "`old`" not in fresh
    assert "| `learning_rate` | Step size of the optimizer. | `0.001` |" in fresh
    assert TABLES["render"](fresh) == fresh


def test_an_unknown_table_is_refused():
    with pytest.raises(Exception, match="Did you mean 'DQN'"):
        TABLES["render"]("<!-- table: DQM -->\n<!-- end -->\n")
