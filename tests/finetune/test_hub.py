"""Public networks are fetched where somebody asks for one, and only then."""

from __future__ import annotations

import subprocess
import sys

import pytest
from weight_folders import tiny

from jrecipe.finetune import hub
from jrecipe.finetune.load import load_pretrained
from jrecipe.types import TaskError

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.mark.parametrize(
    ("source", "asked"),
    [("hub:me/net", ("me/net", None)), ("hub:me/net@v1", ("me/net", "v1"))],
)
def test_what_was_fetched_is_loaded_and_pickles_stay_away(source, asked, tmp_path, monkeypatch):
    calls = []

    def fetch(repository, *, revision, allow_patterns, ignore_patterns):
        calls.append((repository, revision))
        assert not any(pattern.endswith((".bin", "*")) for pattern in allow_patterns)
        return str(tiny(tmp_path))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert load_pretrained(source).folder == tmp_path
    assert calls == [asked]


def test_without_a_network_the_way_out_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("hub:me/net", "hub:a/b/c", "hub:"):
        with pytest.raises(TaskError, match=r"cannot be fetched.*folder") as error:
            load_pretrained(name)
        assert name in str(error.value)
        assert "\n" not in str(error.value)


def test_without_the_package_its_name_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(TaskError, match=r"jrecipe\[finetune\]"):
        hub.download("hub:me/net")


@pytest.mark.exhaustive
def test_loading_a_folder_does_not_import_it():
    code = (
        "import jrecipe.finetune.load, sys;"
        "print([m for m in ('huggingface_hub', 'torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
