"""An adapter for other people: the card that goes with it, and the upload that first shows what it would send."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.profiles import Profile
from src.raft import INSTRUCTION, to_messages
from src.registry import MODELS, licence_line, model_spec
from src.tables import summary_rows

SENT = re.compile(r".+\.(safetensors|json|jinja|model|txt)|README\.md|LICEN[CS]E(\..+)?|NOTICE(\..+)?", re.I)
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")
WORKSHOP_DATA = "data/raw/"  # CC BY 4.0 by data/README.md


class UploadError(RuntimeError):
    """Nothing was sent, or the hub refused; the message says what to change and never holds a token."""


def upload_adapter(
    folder: str | Path, repo_id: str, *, private: bool = True, confirm: bool = False
) -> dict[str, Any]:
    """Show what would go to ``repo_id`` on the Hugging Face Hub; send it only with ``confirm=True``.

    The token is the hub's own (``hf auth login`` or ``HF_TOKEN``): it is never asked for, shown or passed on in a
    message. Returns ``{"repo_id", "private", "files": {name: bytes}, "left_out": [name], "url": str | None}``.

    Raises:
        UploadError: no adapter or no card in ``folder``, a pickle or a token among its files, an EXAONE derivative
            without that name or its licence, no token, a public repository where a private one was asked for, or
            an error of the hub.
    """
    from huggingface_hub import get_token

    folder = Path(folder)
    every = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    _refuse_unfit(folder, every)
    base = json.loads(every["adapter_config.json"].read_text(encoding="utf-8")).get("base_model_name_or_path")
    note = _licence_note(str(base), repo_id, every)
    files = {
        name: path.stat().st_size for name, path in every.items() if SENT.fullmatch(name) and "/" not in name
    }
    plan = {
        "repo_id": repo_id,
        "private": private,
        "files": files,
        "left_out": [name for name in every if name not in files],
        "url": None,
    }
    token = get_token()
    print(f"올릴 곳: {repo_id} ({'비공개' if private else '공개: 누구나 내려받을 수 있습니다'})")
    print(f"올릴 파일 {len(files)}개, {sum(files.values()) / 2**20:.2f} MiB")
    for name, size in files.items():
        print(f"  {name}  {size:,} 바이트")
    print("빼는 파일:", ", ".join(plan["left_out"]) or "없음")
    print(note)
    print("허브 로그인:", "되어 있습니다" if token else "되어 있지 않습니다")
    if not confirm:
        print("아직 올리지 않았습니다. 위의 내용이 맞으면 confirm=True를 더해 다시 불러 주세요.")
        return plan
    if not token:
        raise UploadError(
            "허브에 로그인되어 있지 않아 올리지 않았습니다. 터미널에서 hf auth login을 실행한 뒤 다시 해 주세요. "
            "토큰을 노트북에 적지는 마세요."
        )
    try:
        plan["url"] = _send(folder, plan)
    except UploadError:
        raise
    except Exception as error:
        # The hub's answer may quote the request, and a chained traceback would show it.
        text = TOKEN.sub("***", str(error).replace(token, "***"))
        raise UploadError(
            f"허브가 올리기를 받아 주지 않았습니다. 저장소 이름과 쓰기 권한을 확인해 주세요. "
            f"({type(error).__name__}: {text})"
        ) from None
    print(f"올렸습니다: {plan['url']}")
    return plan


def _send(folder: Path, plan: Mapping[str, Any]) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    repo_id = plan["repo_id"]
    api.create_repo(repo_id, private=plan["private"], exist_ok=True)
    if plan["private"] and not api.repo_info(repo_id).private:  # it was there before, and stays as it was
        raise UploadError(
            f"{repo_id}은 이미 있는 공개 저장소라 올리지 않았습니다. 다른 이름을 쓰거나, 공개해도 되면 private=False로 불러 주세요."
        )
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in plan["files"]
    ]
    return str(api.create_commit(repo_id, operations, commit_message="Upload adapter").commit_url)


def _refuse_unfit(folder: Path, every: Mapping[str, Path]) -> None:
    missing = {"adapter_config.json", "adapter_model.safetensors"} - every.keys()
    if missing:
        raise UploadError(
            f"{folder.name} 폴더에 {', '.join(sorted(missing))}이 없습니다. pipeline.save_training이 남긴 "
            "어댑터 폴더인지 확인해 주세요."
        )
    card = every.get("README.md")
    if card is None or not card.read_text(encoding="utf-8").startswith("---\n"):
        raise UploadError(
            "모델 카드(README.md)가 없거나 맨 앞에 메타데이터가 없습니다. 무엇으로 만들었는지 모르는 어댑터는 올리지 않습니다."
        )
    pickles = [name for name, path in every.items() if path.suffix.lower() in PICKLES]
    if pickles:
        raise UploadError(
            f"{', '.join(pickles)}은 불러올 때 코드를 실행할 수 있는 형식(pickle)입니다. 지우고 다시 해 주세요. "
            "가중치는 safetensors면 충분합니다."
        )
    leaking = [
        n for n, p in every.items() if SENT.fullmatch(n) and TOKEN.search(p.read_text("utf-8", "ignore"))
    ]
    if leaking:
        raise UploadError(
            f"{', '.join(leaking)}에 허브 토큰처럼 보이는 글이 있습니다. 지우고 그 토큰은 폐기해 주세요."
        )


def _licence_note(base: str, repo_id: str, every: Mapping[str, Path]) -> str:
    """What the base's licence asks of this upload, in Korean; UploadError where it is not met."""
    if "exaone" in base.lower():
        if not repo_id.split("/")[-1].startswith("EXAONE"):
            raise UploadError(
                f"EXAONE에서 나온 모델의 이름은 EXAONE으로 시작해야 합니다. 예: {'/'.join([*repo_id.split('/')[:-1], 'EXAONE-' + repo_id.split('/')[-1]])}"
            )
        if not any(name.upper().startswith("LICENSE") for name in every):
            raise UploadError(
                "EXAONE의 라이선스는 사본이 가중치를 따라다니기를 요구합니다. 베이스 모델 저장소의 LICENSE 파일을 어댑터 폴더에 넣어 주세요."
            )
    spec = next((spec for spec in MODELS.values() if base in (spec.source, spec.location)), None)
    if spec is None:
        return f"[라이선스] 베이스 모델 {base}은 목록에 없습니다. 올려도 되는지 직접 확인해 주세요."
    warning = (
        " 이 베이스 모델은 허브에 없어, 받은 사람은 이 저장소가 있어야 쓸 수 있습니다." if spec.local else ""
    )
    return licence_line(spec) + warning


# --- The card --------------------------------------------------------------------------------------------------


def model_card(
    profile: Profile,
    log: Mapping[str, Any],
    comparison: Mapping[str, Any] | None = None,
    *,
    source: str | None = None,
) -> str:
    """README.md of an adapter: metadata the hub reads, data, training, scores, how to use it, limits.

    ``log`` is ``training_log.json``'s content, ``comparison`` that of ``comparison.json`` made *with this adapter*,
    ``source`` says where the data came from and under which licence, where it is not the workshop's own.
    """
    spec = model_spec(profile)
    licence = "apache-2.0" if spec.licence == "Apache-2.0" else f"other\nlicense_name: {spec.licence}"
    base = "" if spec.local else f"base_model: {spec.source}\n"  # the hub takes its own names only
    revision = f", 리비전 {log['base_revision']}" if log.get("base_revision") else ""
    ours = all(file.startswith(WORKSHOP_DATA) for file in profile.data_files)
    data_licence = "CC BY 4.0, 지어낸 회사의 인공 데이터" if ours else source or "라이선스를 직접 적어 주세요"
    if profile.hub_data:
        data_licence += f"; {profile.hub_data.dataset}의 일부: {profile.hub_data.licence}"
    prompt = to_messages({"instruction": INSTRUCTION, "context": ["…"], "question": "…"}, with_answer=False)
    shown = "\n\n".join(f"({turn['role']})\n{turn['content']}" for turn in prompt)
    return f"""---
{base}library_name: peft
pipeline_tag: text-generation
language: ko
license: {licence}
tags: [lora, qlora, raft]
---

# {spec.key} RAFT 어댑터

문맥에서 답을 찾아 "문맥에 따르면 …" 꼴로 답하고, 문맥에 답이 없으면 없다고 말하도록 학습한 LoRA 어댑터입니다.

- 베이스 모델: {spec.source}{revision} (NF4 4비트, 이중 양자화)
- {licence_line(spec)}
- 데이터: {", ".join(profile.data_files)}에서 만든 학습 레코드 {log["train_records"]:,}건 ({data_licence})
- LoRA: r={profile.lora_r}, alpha={profile.lora_alpha}, dropout={profile.lora_dropout}, 대상 {", ".join(spec.lora_targets)}
- 학습: {log["steps"]}스텝, 한 번에 {profile.batch_size * profile.gradient_accumulation_steps}건, 학습률 {profile.learning_rate:g}, 시드 {profile.seed}

## 점수

- 가장 낮은 검증 손실: {log["best_eval_loss"]:.4f}

{_scores(comparison)}

## 쓰는 법

학습할 때와 같은 프롬프트, 같은 NF4 베이스에서 씁니다. 아래 코드는 이 워크숍의 저장소에서 실행합니다.

```python
from dataclasses import replace

from src.generation import generate_answers
from src.models import load_base_model, load_tokenizer
from src.profiles import active_profile
from src.qlora import build_bnb_config, load_adapter
from src.raft import INSTRUCTION, to_messages

profile = replace(active_profile(), model="{profile.model}")
base = load_base_model(profile, quantization_config=build_bnb_config(profile))
model = load_adapter(base, "이 폴더")
record = {{"instruction": INSTRUCTION, "context": ["문서 하나", "문서 둘"], "question": "질문"}}
messages = [to_messages(record, with_answer=False)]
print(generate_answers(model, load_tokenizer(profile), messages, max_new_tokens={profile.max_new_tokens}))
```

프롬프트는 베이스 모델의 채팅 템플릿에 다음 두 차례를 넣은 것입니다. 다른 형식으로 물으면 점수를 기대할 수 없습니다.

```text
{shown}
```

## 한계

- 학습한 문서와 다른 분야, 다른 질문 형식에서는 답이 나빠질 수 있습니다. 중요한 답은 반드시 원문과 대조해 주세요.
- 점수는 위 데이터의 시험 레코드에서만 뜻이 있습니다. 4비트 베이스에 합치면 답이 달라지므로 합치려면 16비트 베이스에 합쳐 주세요.
- 학습 데이터에 개인정보가 있었다면 어댑터가 그것을 외웠을 수 있습니다.
"""


def _scores(comparison: Mapping[str, Any] | None) -> str:
    if comparison is None:
        return (
            "답의 품질은 아직 재지 않았습니다. 노트북 04를 실행하면 이 자리에 튜닝 전후의 점수가 들어갑니다."
        )
    columns = ("지표", "베이스 모델", "튜닝한 모델", "차이", "차이의 95% 구간", "판정")
    lines = [
        f"튜닝에 쓰지 않은 시험 레코드 {comparison['n']:,}건. ↓가 붙은 지표는 낮아야 좋습니다.",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
    ]
    for row in summary_rows(comparison):
        lines.append(f"| {' | '.join(row[name] for name in columns)} |")
    return "\n".join(lines)
