"""Folders of public weights from the Hugging Face Hub, fetched only where somebody asks for one."""

from __future__ import annotations

from pathlib import Path

from jrecipe.types import TaskError, one_line

PREFIX = "hub:"
_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model"]  # weights, configuration, tokenizer


def download(name: str) -> Path:
    """Returns the local folder of a public network, fetched at need; pickles are left there.

    Args:
      name: `hub:OWNER/NAME`, or `hub:OWNER/NAME@REVISION` for a branch, tag or commit.

    Raises:
      TaskError: if the package is missing, there is no such network, or no network to fetch it by.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise TaskError(
            f"{name} needs the package huggingface_hub; pip install 'jrecipe[finetune]', or give a "
            "folder."
        ) from error
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    try:
        folder = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=_WANTED,
            ignore_patterns=["*/*"],  # the same weights for other programs
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise TaskError(
            f"{name} cannot be fetched ({one_line(str(error))}); check the name and the network, "
            "or give a folder that was fetched elsewhere."
        ) from error
    return Path(folder)
