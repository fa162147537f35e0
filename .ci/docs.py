"""Runs what the documentation shows: Python blocks, and `jrecipe` commands in console blocks.

The blocks of one page share a folder and their names, top to bottom, as a reader would run them.
A block after an HTML comment `<!-- not run: REASON -->` is left out. A block that begins with a
comment `# my_task.py` is written to that file first.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- not run: [^\n]*-->\n)?```(python|console)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"# (\w+\.py)\n")


def main() -> int:
    """Runs every page, as many at once as there are processors; returns 1 if a block failed."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        well = list(pool.map(run, pages))
    return 0 if all(well) else 1


def run(page: Path) -> bool:
    """Runs a page and tells whether every block of it ended well."""
    well = True
    with tempfile.TemporaryDirectory() as folder:
        for command in commands(page, Path(folder)):
            start = time.time()
            done = subprocess.run(
                command,
                cwd=folder,
                shell=isinstance(command, str),
                capture_output=True,
                text=True,
                env={**os.environ, "JAX_PLATFORMS": "cpu"},
            )
            shown = command if isinstance(command, str) else f"{page.name}: python blocks"
            verdict = "ok" if done.returncode == 0 else f"FAILED ({done.returncode})"
            said = f"{verdict:12} {time.time() - start:6.1f} s  {shown}"
            if done.returncode != 0:
                well = False
                said += f"\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            print(said, flush=True)
    return well


def commands(page: Path, folder: Path) -> list[str | list[str]]:
    """Returns the commands of a page; its Python blocks become one script."""
    script, found = [], []
    for skipped, language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if skipped:
            continue
        if language == "console":
            lines = [line.removeprefix("$ ") for line in text.splitlines()]
            found += [line for line in lines if line.startswith(("jrecipe ", "pytest "))]
            continue
        if named := FILE.match(text):
            (folder / named[1]).write_text(text, encoding="utf-8")
        else:
            script.append(text)
    if script:
        (folder / "page.py").write_text("\n".join(script), encoding="utf-8")
        found.insert(0, [sys.executable, "page.py"])
    return found


if __name__ == "__main__":
    sys.exit(main())
