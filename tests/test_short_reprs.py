"""What a notebook prints of results is a line, whatever they hold."""

from __future__ import annotations

from small_tasks import small

import jrecipe as jr


def test_results_show_themselves_in_a_line():
    fit = jr.fit(small(), 5, progress=False)
    scored = fit.evaluate(keep_outputs=True)
    report = jr.check(fit.task, only=["A3"])
    for shown in (repr(fit), repr(scored), repr(report)):
        assert "\n" not in shown
        assert len(shown) < 300
    assert "5 steps" in repr(fit)
    assert f"n={scored.n}, loss={scored.loss:.4g}" in repr(scored)
    assert f"metric={scored.metric:.4g}" in repr(scored)
    assert report.headline() in repr(report)
