"""The card that goes with an adapter: what it was made from, what it scores, how to use it, where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from src.evaluation.tables import summary_rows
from src.profiles import Profile
from src.qlora.registry import licence_line, model_spec
from src.raft.prompt import INSTRUCTION, to_messages

WORKSHOP_DATA = "data/raw/"  # CC BY 4.0 by data/README.md


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
from src.qlora import build_bnb_config, load_adapter, load_base_model, load_tokenizer
from src.profiles import active_profile
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
