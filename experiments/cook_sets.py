"""What does `jrecipe cook` reach, step by step, on four data sets it was not made for?

Question: with no choice by a person, through all six stages, what comes out on pictures, a text
classification and a table, what did each step bring, and how long did it take?

Data: `digits` of scikit-learn (no files), and, in a folder, `fashion_mnist` (IDX files) and `sst`
(train, dev, test.jsonl.gz with "text" and "label"). `houses` is made by this script: 20,640 rows
like those of the California housing set, whose prices follow from income, rooms and the distance
to two cities, with noise and a cap.

Command: python experiments/cook_sets.py --data DIR --out runs/cooked
Hardware and results: docs/experiments.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

MINUTES = {"digits": None, "houses": 5.0, "sst": 8.0, "fashion": 20.0}


def write_houses(path: Path, rows: int = 20_640, seed: int = 0) -> None:
    """Writes a table of made-up districts with the columns of the California housing set."""
    rng = np.random.default_rng(seed)
    income = np.clip(rng.lognormal(1.25, 0.45, rows), 0.5, 15.0)
    age = rng.integers(1, 53, rows).astype(float)
    rooms = np.clip(rng.normal(4.2 + 0.3 * income, 1.0), 1.0, 12.0)
    bedrooms = np.clip(0.2 * rooms + rng.normal(0.05, 0.1, rows), 0.3, 4.0)
    people = np.round(rng.lognormal(7.0, 0.7, rows))
    occupants = np.clip(rng.normal(3.0, 0.6, rows), 1.0, 8.0)
    latitude, longitude = rng.uniform(32.5, 42.0, rows), rng.uniform(-124.3, -114.3, rows)
    far = np.minimum(
        np.hypot(latitude - 34.05, longitude + 118.25),
        np.hypot(latitude - 37.77, longitude + 122.4),
    )
    price = 0.4 * income * np.exp(-0.35 * far) + 0.25 * income + 0.06 * rooms - 0.15 * occupants
    price = price + 0.004 * age + 0.6 * np.exp(-far) + 0.15 * rng.standard_normal(rows)
    names = ("income", "age", "rooms", "bedrooms", "people", "occupants", "latitude", "longitude")
    columns = (income, age, rooms, bedrooms, people, occupants, latitude, longitude)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*names, "price"))
        for row in zip(*columns, np.clip(price, 0.15, 5.0), strict=True):
            writer.writerow(f"{value:.6g}" for value in row)


def cook(name: str, target: str, options: tuple[str, ...], out: Path) -> dict:
    """Cooks one set by the command, and returns its report."""
    folder = out / name
    command = [sys.executable, "-m", "jrecipe", "cook", target, "--out", str(folder), *options]
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def told(name: str, report: dict) -> list[str]:
    """Returns what a report says of each step, as lines of Markdown."""
    sections = {section["title"]: section for section in report["sections"]}
    said = {one["check"]: one["finding"] for found in report["findings"].values() for one in found}
    lines = [f"**{name}**, {report['facts']['seconds'] / 60:.1f} min. {report['headline']}", ""]
    for title in ("What each step brought", "The test split, once"):
        table = sections.get(title, {}).get("table")
        if table:
            rows = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
            lines += ["| " + " | ".join(row) + " |" for row in rows]
            lines.append("")
    checks = ("one-at-a-time", "tuned-best", "ensemble-gain")
    lines += [f"- {said[check]}" for check in checks if check in said]  # a gate may stop it
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with fashion_mnist and sst")
    parser.add_argument("--sets", default="digits,houses,sst,fashion")
    parser.add_argument("--minutes", type=float, help="for each set; default: as in the table")
    parser.add_argument("--out", type=Path, default=Path("runs/cooked"))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.sets.split(","):
        options: tuple[str, ...] = ()
        if name == "digits":
            target = "digits"
        elif name == "houses":
            target, options = str(chosen.out / "houses.csv"), ("--target", "price")
            write_houses(Path(target))
        elif chosen.data is None:
            raise SystemExit(f"{name} needs --data DIR")
        elif name == "sst":
            target, options = str(chosen.data / "sst"), ("--target", "label")
        else:
            target = str(chosen.data / "fashion_mnist")
        minutes = chosen.minutes or MINUTES[name]
        if minutes is not None:
            options = (*options, "--minutes", f"{minutes:g}")
        print("\n".join(told(name, cook(name, target, options, chosen.out))), flush=True)


if __name__ == "__main__":
    main()
