"""How many faults that are planted in real data does `jrecipe inspect` find, and how many others?

Question: of copies, mirrored and recompressed pictures, reworded texts, flipped labels, shortcuts,
sorted files, damaged files, and constant columns, planted in Fashion-MNIST and in SST-2, how many
are found? And what is found in the data as they are?

Data: a folder with `fashion_mnist` (IDX files) and `sst` (train, dev, test.jsonl.gz with "text" and
"label").

Command: python experiments/planted_data.py --data DIR
Hardware and results: docs/inspect.md.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from jrecipe.data import read_idx


def inspected(target: Path, *options: str) -> dict:
    """Returns what the command writes about a target: findings, copies, suspects, seconds."""
    out = target.parent / f"{target.name}.looked"
    begun = time.perf_counter()
    command = [sys.executable, "-m", "jrecipe", "inspect", str(target), "--out", str(out)]
    done = subprocess.run([*command, "--rows", "1000", "-q", *options], capture_output=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr.decode())

    def rows(name: str) -> list[dict]:
        return list(csv.DictReader((out / name).read_text().splitlines()))

    return {
        "findings": [
            {"item": item, **each}
            for item, found in json.loads((out / "report.json").read_text())["findings"].items()
            for each in found
        ],
        "copies": rows("copies.csv"),
        "suspects": rows("suspects.csv"),
        "seconds": time.perf_counter() - begun,
    }


def alarms(looked: dict) -> list[str]:
    """Returns what warned or failed, as "A1 copies (split-leakage)"."""
    bad = [f for f in looked["findings"] if f["verdict"] in ("WARNED", "FAILED")]
    return [f"{f['item']} {f['check']} ({f['suspects'][0]['cause']})" for f in bad]


def causes(looked: dict) -> set[str]:
    """Returns the first causes of what warned or failed."""
    bad = [f for f in looked["findings"] if f["verdict"] in ("WARNED", "FAILED")]
    return {f["suspects"][0]["cause"] for f in bad}


def listed(looked: dict, kind: str, split: str | None = None) -> set[tuple[str, int]]:
    """Returns `(split, row)` of the copies of a kind."""
    rows = [row for row in looked["copies"] if row["kind"] == kind]
    return {(row["split"], int(row["row"])) for row in rows if split in (None, row["split"])}


def recall(planted: set, found: set) -> str:
    """Returns the share of the planted ones that were found."""
    return f"{len(planted & found)} of {len(planted)} ({len(planted & found) / len(planted):.1%})"


def precision(planted: set, found: set, before: set) -> str:
    """Returns the share of what was found that was planted, or there before."""
    right = len(found & (planted | before))
    return f"{right} of {len(found)} ({right / max(len(found), 1):.1%})"


def among_first(looked: dict, flipped: set, share: float) -> str:
    """Returns how many flipped training labels are among the first suspects of training."""
    rows = [int(row["row"]) for row in looked["suspects"] if row["split"] == "train"]
    return recall(flipped, set(rows[: int(share * len(rows))]))


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def told(*cells: object) -> None:
    """Prints a line of the table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def pictures(data: Path, work: Path, rng: np.random.Generator) -> None:
    """Plants in Fashion-MNIST."""
    x, y, tx, ty = (
        np.array(read_idx(data / "fashion_mnist" / f"{name}-ubyte.gz"))
        for name in (
            "train-images-idx3",
            "train-labels-idx1",
            "t10k-images-idx3",
            "t10k-labels-idx1",
        )
    )
    n, m = len(x), len(tx)
    names = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")

    def written(name: str, *parts: np.ndarray) -> Path:
        path = work / f"{name}.npz"
        np.savez(path, **dict(zip(names, parts, strict=True)))
        return path

    cut = n - 5000
    clean = inspected(written("clean", x[:cut], y[:cut], x[cut:], y[cut:], tx, ty))
    told("Fashion-MNIST as it is", f"{alarms(clean)}", f"{clean['seconds']:.0f} s")
    before = {kind: listed(clean, kind) for kind in ("exact", "near")}

    fx, fy, ftx, fty = x.copy(), y.copy(), tx.copy(), ty.copy()
    rows = rng.permutation(cut)
    count = n // 100
    copied, sources = rows[:count], rows[count : 2 * count]
    fx[copied], fy[copied] = fx[sources], fy[sources]
    held = rng.permutation(m)[: m // 100]
    taken = rows[2 * count : 2 * count + len(held)]
    for place, (row, source) in enumerate(zip(held, taken, strict=True)):
        picture = fx[source] if place % 2 else np.ascontiguousarray(fx[source][:, ::-1])
        ftx[row] = jpeg(picture, 75) if place % 4 else picture
        fty[row] = fy[source]
    flipped = rng.permutation(np.setdiff1d(np.arange(cut), rows[: 3 * count]))[: cut // 20]
    fy[flipped] = (fy[flipped] + rng.integers(1, 10, len(flipped))) % 10
    looked = inspected(written("planted", fx[:cut], fy[:cut], fx[cut:], fy[cut:], ftx, fty))
    exact = {("train", int(row)) for row in (*copied, *sources)}
    near = {("test", int(row)) for row in held}
    told("1 % exact copies, recall", recall(exact, listed(looked, "exact")), ">= 99 %")
    told("precision", precision(exact, listed(looked, "exact"), before["exact"]), ">= 95 %")
    told(
        "1 % mirrored or recompressed in test", recall(near, listed(looked, "near", "test")), "90 %"
    )
    told(
        "precision, with copies that were there before",
        precision(near, listed(looked, "near", "test"), before["near"]),
        ">= 95 %",
    )
    told("leak is FAILED", "split-leakage" in causes(looked), "")
    told(
        "5 % flipped labels among the first 5 %",
        among_first(looked, set(flipped.tolist()), 0.05),
        "70 %",
    )
    told("label noise warned of", "label-noise" in causes(looked), "")

    few = 12_000
    edge = few - 2000

    def small(name: str, a: np.ndarray, b: np.ndarray) -> dict:
        return inspected(written(name, a[:edge], b[:edge], a[edge:], b[edge:], tx, ty))

    shortcut = x[:few].copy()
    shortcut[:, 0, 0] = y[:few] * 25
    told("one pixel that tells the class", sorted(causes(small("pixel", shortcut, y[:few]))), "")
    order = np.append(np.argsort(y[:edge], kind="stable"), np.arange(edge, few))
    told("a sorted file", sorted(causes(small("sorted", x[:few][order], y[:few][order]))), "")
    dead = x[:few].copy()
    dead[:, [9, 14, 20], [12, 17, 10]] = 128
    told("3 constant pixels", sorted(causes(small("dead", dead, y[:few]))), "")
    part = small("part", x[:few], y[:few])
    told("the same part as it is", sorted(causes(part)), "")

    folder = work / "files"
    damaged = set(rng.permutation(3000)[:20].tolist())
    for i in range(3000):
        path = folder / "train" / str(y[i]) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[i]).save(path)
        if i in damaged:
            blob = path.read_bytes()
            middle = len(blob) // 2
            broken = (b"", blob[:middle], blob[:middle] + b"\0" * 9 + blob[middle + 9 :], b"text")
            path.write_bytes(broken[i % 4])
    looked = inspected(folder)
    table = next(f for f in looked["findings"] if f["check"] == "corrupt")
    told("20 damaged of 3,000 files", f"{table['evidence'].get('damaged_file')} found", "20")


def texts(data: Path, work: Path, rng: np.random.Generator) -> None:
    """Plants in SST-2."""
    raw = {}
    for split, name in (("train", "train"), ("val", "dev"), ("test", "test")):
        with gzip.open(data / "sst" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        raw[split] = [(r["text"], int(r["label"])) for r in rows if r["label"] is not None]

    def written(name: str, parts: dict, extra: dict | None = None) -> Path:
        folder = work / name
        folder.mkdir()
        for split, rows in parts.items():
            with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
                out = csv.writer(file)
                out.writerow(["text", *(extra or {}), "label"])
                out.writerows([t, *(extra or {}).values(), label] for t, label in rows)
        return folder

    clean = inspected(written("sst_clean", raw))
    told("SST-2 as it is", f"{alarms(clean)}", f"{clean['seconds']:.0f} s")
    before = {kind: listed(clean, kind) for kind in ("exact", "near")}

    train, test = list(raw["train"]), list(raw["test"])
    rows = rng.permutation(len(train))
    count = len(train) // 100
    copied, sources = rows[:count], rows[count : 2 * count]
    for row, source in zip(copied, sources, strict=True):
        train[row] = train[source]
    held = rng.permutation(len(test))[: len(test) // 100]
    long = [row for row in rows[2 * count :] if len(train[row][0].split()) >= 12]
    for place, (row, source) in enumerate(zip(held, long, strict=False)):
        words = train[source][0].split()
        if place % 3 == 0:
            words = [word.upper() for word in words]
        elif place % 3 == 1:
            words = [word for word in words if word.isalnum()]
        else:
            words[len(words) // 2] = "really"
        test[row] = (" ".join(words), train[source][1])
    kept = np.setdiff1d(np.arange(len(train)), [*rows[: 2 * count], *long[: len(held)]])
    flipped = rng.permutation(kept)[: len(train) // 20]
    for row in flipped:
        train[row] = (train[row][0], 1 - train[row][1])
    looked = inspected(written("sst_planted", raw | {"train": train, "test": test}))
    exact = {("train", int(row)) for row in (*copied, *sources)}
    near = {("test", int(row)) for row in held}
    told("1 % exact copies, recall", recall(exact, listed(looked, "exact")), ">= 99 %")
    told("precision", precision(exact, listed(looked, "exact"), before["exact"]), ">= 95 %")
    told("1 % reworded in test", recall(near, listed(looked, "near", "test")), "90 %")
    told(
        "precision, with copies that were there before",
        precision(near, listed(looked, "near", "test"), before["near"]),
        ">= 95 %",
    )
    told("leak is FAILED", "split-leakage" in causes(looked), "")
    told(
        "5 % flipped labels among the first 5 %",
        among_first(looked, set(flipped.tolist()), 0.05),
        "70 %",
    )
    told("label noise warned of", "label-noise" in causes(looked), "")
    told("by", next(f for f in looked["findings"] if f["check"] == "suspects")["finding"], "")

    marked = {s: [(t + " zq" * label, label) for t, label in part] for s, part in raw.items()}
    told("a word that tells the class", sorted(causes(inspected(written("sst_word", marked)))), "")
    ordered = raw | {"train": sorted(raw["train"], key=lambda row: row[1])}
    told("a sorted file", sorted(causes(inspected(written("sst_sorted", ordered)))), "")
    columns = {"source": "web", "version": 3, "empty": ""}
    dead = inspected(written("sst_constant", raw, columns))
    told("3 constant columns", sorted(causes(dead)), "")
    folder = written("sst_lines", raw)
    lines = (folder / "train.csv").read_bytes().split(b"\r\n")
    for row in rng.permutation(np.arange(1, 5000))[:20]:
        lines[row] = lines[row] + b",spare" if row % 2 else b"\xff\xfe" + lines[row]
    (folder / "train.csv").write_bytes(b"\r\n".join(lines))
    looked = inspected(folder)
    table = next(f for f in looked["findings"] if f["check"] == "corrupt")
    told("20 damaged lines", f"{table['evidence'].get('damaged_line')} found", "20")


def main() -> None:
    """Plants, inspects and counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("pictures", "texts"))
    options = parser.parse_args()
    told("planted", "found", "wanted")
    told("---", "---", "---")
    with tempfile.TemporaryDirectory() as folder:
        for plant in (pictures, texts):
            if options.only in (None, plant.__name__):
                plant(options.data, Path(folder), np.random.default_rng(options.seed))


if __name__ == "__main__":
    main()
