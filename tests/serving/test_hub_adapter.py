"""An adapter by its hub id: the same model as from its folder, asked for once, and one Korean line where there is none."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import nbformat
import pytest
import torch
from local_hub import serve_hub
from peft import PeftModel
from stand_ins import ANY_COMMIT, Repo

from src import qlora, serving
from src.hub import HubError
from src.profiles import PROFILES, ROOT
from tests.hub.test_fetching import ask_at, korean_line

TINY = PROFILES["tiny"]
NAME = "someone/raft-adapter"
IDS = torch.arange(5, 35)[None]


def new_base():
    return qlora.load_base_model(TINY, quantization_config=qlora.build_bnb_config(TINY))


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """(repository with an adapter that changes something, its logits)."""
    repo = Repo(tmp_path_factory.mktemp("adapter"), ANY_COMMIT)
    model = qlora.attach_adapter(new_base(), replace(TINY, lora_r=2))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(parameter, 0.01)
    model.save_pretrained(repo.folder)
    config = json.loads((repo.folder / "adapter_config.json").read_text())
    repo.write(
        "adapter_config.json", config | {"base_model_name_or_path": "data/tiny/base", "revision": None}
    )
    repo.write("README.md", "card")
    return repo, qlora.logits_of(model, IDS)


@pytest.fixture
def served(adapter, tmp_path, monkeypatch):
    """A hub with the adapter, one with pickles alone, and one of another base."""
    repo, _ = adapter
    pickled, other = (Repo(tmp_path / name, ANY_COMMIT) for name in ("pickled", "other"))
    config = json.loads((repo.folder / "adapter_config.json").read_text())
    pickled.write("adapter_config.json", config)
    pickled.write("adapter_model.bin", "a pickle")
    other.write("adapter_config.json", config | {"base_model_name_or_path": "someone/else"})
    other.write("adapter_model.safetensors", "weights")
    repos = {NAME: repo, "someone/pickled": pickled, "someone/other": other}
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serve_hub({("models", name): repo for name, repo in repos.items()}) as server:
        ask_at(monkeypatch, server.url)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", server.url)  # PEFT's own questions
        yield server


def shown_in_notebook() -> list[str]:
    """The code that notebook 03 shows for it, with this hub's adapter in it."""
    cells = nbformat.read(ROOT / "main-practice" / "03_fine_tuning_with_lora.ipynb", as_version=4).cells
    (text,) = (c.source for c in cells if c.cell_type == "markdown" and "fetch_adapter" in c.source)
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    filled = [re.sub('"아이디/[^"]+"', repr(NAME), block) for block in blocks]
    return [re.sub('"[0-9a-f]{40}"', repr(ANY_COMMIT), block) for block in filled]


def test_the_notebooks_code_gives_the_model_that_was_uploaded(adapter, served):
    ours, direct = shown_in_notebook()
    seen = {"qlora": qlora, "serving": serving, "profile": TINY, "bnb_config": qlora.build_bnb_config(TINY)}
    exec(ours, seen)
    assert torch.equal(qlora.logits_of(seen["tuned"], IDS), adapter[1])
    asked = len(served.requests)
    assert serving.fetch_adapter(TINY, NAME, revision=ANY_COMMIT) == seen["adapter_dir"]
    assert len(served.requests) == asked  # what is in the cache is not asked for
    seen |= {"base": new_base(), "PeftModel": PeftModel}
    exec(direct, seen)
    assert torch.equal(qlora.logits_of(seen["tuned"], IDS), adapter[1])


def test_a_pickle_is_not_even_fetched(served):
    with pytest.raises(HubError, match=r"adapter_model\.safetensors") as caught:
        serving.fetch_adapter(TINY, "someone/pickled", revision=ANY_COMMIT)
    assert korean_line(str(caught.value))
    assert not any(".bin" in path for path in served.requests)


@pytest.mark.parametrize(
    ("name", "revision", "told"),
    [
        ("someone/private", ANY_COMMIT, "허브에 없거나 읽을 권한이 없습니다"),
        (NAME, "f" * 40, "커밋 해시를 확인"),
        (NAME, "main", "커밋 해시 40자"),
        ("someone/other", ANY_COMMIT, "someone/else 위에서 학습"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_korean_line(served, name, revision, told):
    with pytest.raises((HubError, ValueError), match=told) as caught:
        serving.fetch_adapter(TINY, name, revision=revision)
    assert korean_line(str(caught.value))
