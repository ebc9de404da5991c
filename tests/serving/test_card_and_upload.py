"""A card that can be followed, and an upload that shows, refuses and never tells the token."""

from __future__ import annotations

import json
import re
import threading
import traceback
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from src.evaluation.results import Comparison, Difference
from src.pipeline import save_training
from src.profiles import PROFILES
from src.qlora.adapters import attach_adapter
from src.qlora.configs import build_bnb_config
from src.qlora.loading import load_base_model
from src.qlora.registry import MODELS
from src.serving.card import model_card
from src.serving.upload import UploadError, upload_adapter
from tests.hub.test_cache import put

TOKEN = "hf_" + "abcDEF123" * 4
LOG = {"train_records": 1234, "steps": 10, "best_eval_loss": 0.5, "base_revision": None}
COMPARISON = Comparison(400, {"rouge1": Difference("rouge1", 0.41, 0.96, 0.55, (0.52, 0.58), 0.0005)})


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "adapter"
    path.mkdir()
    source = MODELS["qwen3-8b"].source
    (path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": source}))
    (path / "adapter_model.safetensors").write_bytes(b"\x00" * 100)
    (path / "README.md").write_text(model_card(PROFILES["tiny"], LOG), encoding="utf-8")
    return path


@pytest.fixture
def hub(monkeypatch):
    """The hub's side, as this package sees it; ``sent`` holds what arrived."""
    state = SimpleNamespace(token=TOKEN, public=False, sent={}, error=None)

    class FakeApi:
        def create_repo(self, repo_id, *, private, exist_ok):
            assert exist_ok
            if state.error:
                raise state.error
            state.private = private

        def repo_info(self, repo_id):
            return SimpleNamespace(private=not state.public)

        def create_commit(self, repo_id, operations, *, commit_message):
            state.sent = {o.path_in_repo: o.path_or_fileobj for o in operations}
            return SimpleNamespace(commit_url=f"https://hub.invalid/{repo_id}/commit/1")

    monkeypatch.setattr("huggingface_hub.HfApi", FakeApi)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: state.token)
    return state


def test_it_shows_before_it_sends(folder, hub, capsys):
    (folder / "notes.log").write_text("x")
    (folder / "checkpoint-3").mkdir()
    (folder / "checkpoint-3" / "trainer_state.json").write_text("{}")
    plan = upload_adapter(folder, "me/raft")
    out = capsys.readouterr().out
    assert hub.sent == {} and plan["url"] is None
    assert set(plan["files"]) == {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    assert plan["left_out"] == ["checkpoint-3/trainer_state.json", "notes.log"]
    assert "adapter_model.safetensors  100 바이트" in out and "notes.log" in out
    assert "비공개" in out and "Apache-2.0" in out and "아직 올리지 않았습니다" in out
    assert TOKEN not in out


def test_it_sends_exactly_what_it_showed(folder, hub, capsys):
    shown = upload_adapter(folder, "me/raft")
    done = upload_adapter(folder, "me/raft", confirm=True)
    assert set(hub.sent) == set(shown["files"]) and hub.private is True
    assert done["url"] == "https://hub.invalid/me/raft/commit/1" in capsys.readouterr().out


def test_without_a_token_it_shows_but_does_not_send(folder, hub, capsys):
    hub.token = None
    upload_adapter(folder, "me/raft")
    assert "되어 있지 않습니다" in capsys.readouterr().out
    with pytest.raises(UploadError, match="hf auth login"):
        upload_adapter(folder, "me/raft", confirm=True)
    assert hub.sent == {}


def test_a_public_repository_is_not_mistaken_for_a_private_one(folder, hub):
    hub.public = True
    with pytest.raises(UploadError, match="공개 저장소"):
        upload_adapter(folder, "me/raft", confirm=True)
    assert hub.sent == {}
    upload_adapter(folder, "me/raft", confirm=True, private=False)
    assert hub.sent


@pytest.mark.parametrize("name", ["training_args.bin", "optimizer.pt", "sub/state.PKL"])
def test_pickles_are_refused(folder, hub, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(UploadError, match=re.escape(name)):
        upload_adapter(folder, "me/raft", confirm=True)


@pytest.mark.parametrize("name", ["README.md", "adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_without_card_or_adapter_is_refused(folder, hub, name):
    (folder / name).unlink()
    with pytest.raises(UploadError):
        upload_adapter(folder, "me/raft", confirm=True)
    assert hub.sent == {}


def test_a_card_without_metadata_is_refused(folder, hub):
    (folder / "README.md").write_text("# 어댑터")
    with pytest.raises(UploadError, match="메타데이터"):
        upload_adapter(folder, "me/raft", confirm=True)


def test_a_token_in_a_file_is_refused_and_not_repeated(folder, hub):
    (folder / "README.md").write_text(f"---\n---\n{TOKEN}")
    with pytest.raises(UploadError, match=r"README\.md") as caught:
        upload_adapter(folder, "me/raft", confirm=True)
    assert TOKEN not in str(caught.value)


def test_exaone_keeps_its_name_and_licence(folder, hub, capsys):
    source = MODELS["exaone-3.0-7.8b"].source
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": source}))
    with pytest.raises(UploadError, match="me/EXAONE-raft"):
        upload_adapter(folder, "me/raft")
    with pytest.raises(UploadError, match="LICENSE"):
        upload_adapter(folder, "me/EXAONE-raft")
    (folder / "LICENSE").write_text("…")
    assert "LICENSE" in upload_adapter(folder, "me/EXAONE-raft")["files"]
    assert "1.1 - NC" in capsys.readouterr().out


def test_an_exaone_adapter_is_shown_as_it_was_saved_and_refused_without_a_token(
    tmp_path, hub, monkeypatch, capsys
):
    """What notebook 03 does after training: nothing has to be put there by hand."""
    spec = MODELS["exaone-3.0-7.8b"]
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    put(tmp_path / "hub", spec.item, {"LICENSE": "terms", "config.json": "{}"})
    monkeypatch.setattr("src.pipeline.training_log", lambda profile, trainer: dict(LOG))

    def save_model(folder):
        Path(folder).mkdir()
        (Path(folder) / "adapter_config.json").write_text("{}")
        (Path(folder) / "adapter_model.safetensors").write_bytes(b"x")

    trainer = SimpleNamespace(save_model=save_model, is_world_process_zero=lambda: True)
    tokenizer = SimpleNamespace(save_pretrained=lambda folder: None)
    save_training(PROFILES["rtx4090"], trainer, tokenizer, tmp_path)
    hub.token = None
    plan = upload_adapter(tmp_path / "adapter", "me/EXAONE-raft")
    assert {"LICENSE", "README.md", "adapter_config.json"} <= set(plan["files"])
    assert "아직 올리지 않았습니다" in capsys.readouterr().out
    with pytest.raises(UploadError, match="hf auth login"):
        upload_adapter(tmp_path / "adapter", "me/EXAONE-raft", confirm=True)


def test_the_token_never_shows_in_an_error(folder, hub, capsys):
    hub.error = RuntimeError(f"403 for Authorization: Bearer {TOKEN}")
    with pytest.raises(UploadError) as caught:
        upload_adapter(folder, "me/raft", confirm=True)
    shown = "".join(traceback.format_exception(caught.value)) + capsys.readouterr().out
    assert TOKEN not in shown and "403" in shown


def test_a_real_server_that_echoes_the_token_does_not_reveal_it(folder, monkeypatch, capsys):
    """The hub's own client against a server on this machine that quotes what it was sent."""
    asked = []

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.headers.get("Authorization"))
            body = json.dumps({"error": f"not allowed: {self.headers.get('Authorization')}"}).encode()
            self.send_response(403)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Error-Message", f"not allowed: {self.headers.get('Authorization')}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    import huggingface_hub

    endpoint = f"http://127.0.0.1:{server.server_port}"
    real = huggingface_hub.HfApi
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: real(endpoint=endpoint))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        with pytest.raises(UploadError) as caught:
            upload_adapter(folder, "me/raft", confirm=True)
    finally:
        server.shutdown()
        server.server_close()
    shown = "".join(traceback.format_exception(caught.value)) + capsys.readouterr().out
    assert asked == [f"Bearer {TOKEN}"]  # it did go out to the server, and nowhere else
    assert TOKEN not in shown and "not allowed" in shown


@pytest.mark.parametrize("name", ["tiny", "rtx4090"])
def test_the_cards_metadata_is_what_the_hub_reads(name):
    profile = PROFILES[name]
    card = model_card(profile, LOG | {"base_revision": "abc123"}, COMPARISON)
    metadata = yaml.safe_load(card.split("---\n")[1])
    spec = MODELS[profile.model]
    assert metadata["library_name"] == "peft" and metadata["language"] == "ko"
    assert metadata.get("base_model") == (None if spec.local else spec.source)
    assert metadata["license"] == ("apache-2.0" if name == "tiny" else "other")
    for said in (
        spec.licence,
        "리비전 abc123",
        "1,234건",
        "CC BY 4.0",
        "| ROUGE-1 | 0.410 | 0.960 | +0.550 | +0.520 ~ +0.580 | 나아짐 |",
        "400건",
    ):
        assert said in card
    assert "답 없음" not in card  # not measured


def test_a_card_says_what_it_does_not_know():
    profile = replace(PROFILES["tiny"], data_files=("my/data.jsonl",))
    card = model_card(profile, LOG)
    assert "아직 재지 않았습니다" in card and "라이선스를 직접 적어 주세요" in card and "CC BY" not in card


def test_the_cards_recipe_runs(tiny_profile, tmp_path, monkeypatch, capsys):
    base = load_base_model(tiny_profile, quantization_config=build_bnb_config(tiny_profile))
    attach_adapter(base, tiny_profile).save_pretrained(tmp_path / "adapter")
    code = re.search(r"```python\n(.*?)```", model_card(tiny_profile, LOG), flags=re.DOTALL).group(1)
    assert '"이 폴더"' in code
    monkeypatch.setenv("WORKSHOP_PROFILE", "tiny")
    exec(code.replace("이 폴더", str(tmp_path / "adapter")), {})
    assert capsys.readouterr().out.startswith("[")


def test_evaluation_puts_its_scores_into_the_card(tmp_path, monkeypatch):
    from src.pipeline import adapter_dir, save_evaluation

    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path))
    profile = PROFILES["tiny"]
    save_evaluation(profile, [], [], [], COMPARISON)  # no adapter of its own: nothing to describe
    adapter_dir(profile).mkdir()
    (profile.artifacts_dir / "training_log.json").write_text(json.dumps(LOG), encoding="utf-8")
    save_evaluation(profile, [], [], [], COMPARISON)
    card = (adapter_dir(profile) / "README.md").read_text(encoding="utf-8")
    assert card == model_card(profile, LOG, COMPARISON) and "| ROUGE-1 |" in card
