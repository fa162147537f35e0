"""The documentation says what the code says."""

from pathlib import Path

import pytest

from jrecipe.checks import CAUSES, CHECKS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("code", sorted(CAUSES))
def test_every_cause_is_documented(code):
    assert f"| `{code}` | {CAUSES[code]} |" in (DOCS / "checks.md").read_text()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.item)
def test_every_check_is_documented(check):
    assert f"\n| {check.item} | " in (DOCS / "checks.md").read_text()
