"""The notebooks as pages: words, code and, if `JRECIPE_RUN_NOTEBOOKS` is set, what they gave.

Notebooks are kept without outputs, and the tests run them. A site that is to be published runs them
once more, so that it shows what its own version gives.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

RUN = "JRECIPE_RUN_NOTEBOOKS"
SECONDS = 600  # for one cell


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Puts a page beside each notebook."""
    from mkdocs.structure.files import File

    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        path = Path(str(notebook.abs_src_path))
        cells = executed(path) if os.environ.get(RUN) else cells_of(path)
        text = "\n\n".join(blocks(cells))
        title, _, rest = text.partition("\n")
        text = f"{title}\n\n[The notebook]({path.name}), to run it yourself.\n{rest}"
        name = notebook.src_uri.removesuffix(".ipynb") + ".md"
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links to notebooks to their pages; on a code host they lead to the notebooks."""
    if page.file.src_uri.startswith("notebooks/"):
        return markdown
    return re.sub(r"(\]\([\w./]*notebooks/\w+)\.ipynb\)", r"\1.md)", markdown)


def cells_of(path: Path) -> list[dict[str, Any]]:
    """Returns the cells of a notebook as they are kept."""
    return list(json.loads(path.read_text(encoding="utf-8"))["cells"])


def executed(path: Path) -> list[dict[str, Any]]:
    """Returns the cells of a notebook with their outputs, run in a folder of its own."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        return list(NotebookClient(notebook, timeout=SECONDS, resources=where).execute()["cells"])


def blocks(cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    r"""Yields the Markdown of each cell and of each output.

    Example:
      >>> list(blocks([{"cell_type": "code", "source": "1 + 1", "outputs": []}]))
      ['```python\n1 + 1\n```']
    """
    for cell in cells:
        source = _joined(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            continue
        yield f"```python\n{source}\n```"
        for output in cell["outputs"]:
            yield from _shown(output)


def _shown(output: Mapping[str, Any]) -> Iterator[str]:
    """Yields an output: HTML as it is, pictures as data, else its text; no warnings."""
    if output["output_type"] == "stream":
        if output["name"] == "stdout":
            yield f"```text\n{_joined(output['text']).rstrip()}\n```"
        return
    data = output.get("data", {})
    if "text/html" in data:  # one block of HTML ends at an empty line
        whole = re.sub(r"\n\s*\n", "\n", _joined(data["text/html"]))
        yield f'<div class="given">{whole}</div>'
    elif "image/png" in data:
        yield f"![Output](data:image/png;base64,{_joined(data['image/png']).strip()})"
    elif "text/plain" in data:
        yield f"```text\n{_joined(data['text/plain'])}\n```"


def _joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
