"""The colours of plots, and the style sheet that figures in HTML need."""

from __future__ import annotations

SERIES = ("#0072b2", "#d55e00", "#009e73", "#b0558a", "#b07a00", "#3f9bd1")
INK, GRID = "#111213", "#d1d2d3"  # stand-ins, replaced by CSS colours when an SVG is written
ABOVE, BELOW = "#0171b1", "#d45d01"  # cells of a matrix: alike in light and dark, under numbers
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"

# What lies upon pictures, in a report and in the explorer alike.
MARKS = """
.jr-marked { position: relative; display: block; }
.jr-marks { position: absolute; inset: 0; overflow: hidden; pointer-events: none; }
.jr-marks svg { position: absolute; inset: 0; width: 100%; height: 100%; max-width: none;
  overflow: hidden; fill: none; stroke-linejoin: round; stroke-linecap: round; }
.jr-marks image { opacity: .5; image-rendering: pixelated; }
.jr-marks path { vector-effect: non-scaling-stroke; stroke: var(--kind); stroke-width: 2px; }
.jr-marks .jr-under { stroke: #000; stroke-opacity: .6; stroke-width: 3.5px; }
.jr-marks .jr-points { stroke-width: 7px; }
.jr-marks .jr-points.jr-under { stroke-width: 9px; }
.jr-marks span { position: absolute; margin: 0; padding: 0 .25em; font-size: .625rem;
  line-height: 1.25; background: var(--kind); white-space: nowrap; max-width: 100%;
  overflow: hidden; text-overflow: ellipsis; border-radius: 2px; unicode-bidi: isolate; }
.jr-legend { display: flex; flex-wrap: wrap; gap: .125rem .875rem; margin: .5rem 0 0; padding: 0;
  list-style: none; font-size: .75rem; line-height: 1.4; }
.jr-legend li { width: auto; margin: 0; unicode-bidi: isolate; overflow-wrap: anywhere; }
.jr-legend i { display: inline-block; width: .75em; height: .75em; margin-inline-end: .375em;
  border-radius: 2px; background: var(--kind); outline: 1px solid #0006; }
.jr-said { margin: .375rem 0 0; font-size: .75rem; opacity: .75; max-width: 40rem; }
"""

STYLE = (
    """
.jr-figure { --jr-1: #0072b2; --jr-2: #d55e00; --jr-3: #009e73; --jr-4: #b0558a; --jr-5: #b07a00;
  --jr-6: #3f9bd1; --jr-grid: #8883; --jr-good: #00795a; --jr-bad: #c23b00; margin: 0;
  min-width: 0; max-width: 100%; }
@media screen and (prefers-color-scheme: dark) { .jr-figure { --jr-1: #5ab4ec; --jr-2: #ff8a4c;
  --jr-3: #2cc79b; --jr-4: #e293c1; --jr-5: #e9b23c; --jr-6: #a3d8f8; --jr-grid: #8884;
  --jr-good: #2cc79b; --jr-bad: #ff8a4c; } }
.jr-figure > figcaption { font-weight: 600; margin: 0 0 .5rem; overflow-wrap: anywhere;
  unicode-bidi: isolate; }
.jr-figure svg { display: block; width: 100%; max-width: 30rem; height: auto; overflow: visible; }
.jr-gallery { display: flex; flex-wrap: wrap; gap: .75rem .625rem; margin: 0; padding: 0;
  list-style: none; }
.jr-gallery li { width: 5.75rem; margin: 0; font-size: .75rem; line-height: 1.3;
  break-inside: avoid; }
.jr-gallery.jr-wide li { width: 9.5rem; }
.jr-gallery img, .jr-blank { display: block; box-sizing: border-box; width: 100%;
  border-radius: 4px; outline: 1px solid var(--jr-grid); }
.jr-gallery img.jr-pixels { image-rendering: pixelated; }
.jr-gallery .jr-good img { outline: 3px solid var(--jr-good); }
.jr-gallery .jr-bad img { outline: 3px solid var(--jr-bad); }
.jr-gallery li > span { display: block; margin-top: .375rem; overflow-wrap: anywhere;
  unicode-bidi: isolate; }
.jr-gallery b { font-weight: 700; }
.jr-good b { color: var(--jr-good); }
.jr-bad b { color: var(--jr-bad); }
.jr-hists { display: grid; gap: 1rem 1.25rem; margin: 0; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 9rem), 1fr)); }
.jr-hists li { margin: 0; min-width: 0; font-size: .75rem; line-height: 1.35;
  break-inside: avoid; }
.jr-hists svg { overflow: hidden; color: var(--jr-1); }
.jr-hists .jr-bad svg { color: var(--jr-bad); }
.jr-hists span { display: block; overflow-wrap: anywhere; unicode-bidi: isolate; }
.jr-hists .jr-range i { font-style: normal; }
.jr-hists .jr-range { display: flex; justify-content: space-between; opacity: .75;
  font-variant-numeric: tabular-nums; }
.jr-hists .jr-note { color: inherit; opacity: .75; }
.jr-hists .jr-bad .jr-note { color: var(--jr-bad); opacity: 1; font-weight: 600; }
.jr-scroll { overflow-x: auto; max-width: 100%; }
.jr-figure table { border-collapse: collapse; font-size: .875rem; }
.jr-figure th, .jr-figure td { padding: .3rem .75rem .3rem 0; text-align: left; border: 0;
  border-bottom: 1px solid var(--jr-grid); vertical-align: top; unicode-bidi: isolate;
  overflow-wrap: break-word; max-width: 24rem; }
.jr-figure th { font-weight: 600; white-space: nowrap; max-width: none; }
.jr-figure .jr-number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.jr-empty { margin: 0; opacity: .7; font-style: italic; }
"""
    + MARKS
)
