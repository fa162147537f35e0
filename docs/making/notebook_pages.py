"""The notebooks as pages: their words and code, and what they gave if `JRECIPE_RUN_NOTEBOOKS` is set.

Notebooks are kept without outputs, and the tests run them. A site that is to be published runs them
once more, so that it shows what its own version gives.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

RUN = "JRECIPE_RUN_NOTEBOOKS"
SECONDS = 600  # for one cell


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Puts a page in the place of each notebook, with its pictures beside it."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        text, pictures = converted(Path(str(notebook.abs_src_path)), run=bool(os.environ.get(RUN)))
        place = notebook.src_uri.removesuffix(".ipynb")
        files.append(File.generated(config, f"{place}.md", content=text))
        for name, picture in pictures.items():
            name = f"{place.rpartition('/')[0]}/{name}"
            files.append(File.generated(config, name, content=picture))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links to notebooks to their pages; on a code host they lead to the notebooks."""
    if page.file.src_uri.startswith("notebooks/"):
        return markdown
    return re.sub(r"(\]\([\w./]*notebooks/\w+)\.ipynb\)", r"\1.md)", markdown)


def converted(path: Path, *, run: bool) -> tuple[str, dict[str, bytes]]:
    """Returns the Markdown of a notebook, and its pictures by name.

    Args:
      path: of the notebook.
      run: whether to execute it first, in a folder of its own.
    """
    import nbformat
    from nbconvert import MarkdownExporter

    notebook = nbformat.read(path, as_version=4)
    if run:
        notebook = executed(notebook)
    text, more = MarkdownExporter().from_notebook_node(
        notebook, resources={"unique_key": path.stem, "output_files_dir": ""}
    )
    note = f"\n[The notebook]({path.name}), to run it yourself.\n"
    title, _, rest = text.lstrip().partition("\n")
    return f"{title}\n{note}{_fenced(rest)}", dict(more["outputs"])


def executed(notebook: object) -> object:
    """Returns a notebook with its outputs, run in a folder of its own."""
    import tempfile

    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=SECONDS, resources={"metadata": {"path": folder}}
        )
        return client.execute()


def _fenced(text: str) -> str:
    """Turns printed output, which is indented by four, into blocks of text.

    Example:
      >>> _fenced("```python\\nprint(1)\\n```\\n\\n    1\\n")
      '```python\\nprint(1)\\n```\\n\\n```text\\n1\\n```\\n'
    """
    return re.sub(
        r"(?m)^(?:    .*\n(?:\n(?=    ))?)+",
        lambda block: "```text\n" + re.sub(r"(?m)^    ", "", block[0]).rstrip() + "\n```\n",
        text,
    )
