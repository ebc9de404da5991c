"""Fine-tuning broken on purpose on the tiny base: provoke it, see the symptom, find it with a tool of ours, mend it.

``run("pad-eos")`` shows one drill; ``DRILLS`` names them all. Every run goes through the same three tools,
``practice.findings``: what our training raises, the label audit, and the diagnosis of the loss history.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from src.classroom.practice import (
    PRACTICE,
    TRAIN_RECORDS,
    Attempt,
    attempt,
    findings,
    healthy,
    healthy_rows,
    quiet,
    records,
    tokenizer,
)

# The slides' form, in which this base was not tuned.
SLIDE_PROMPT = "문맥: {context}\n질문: {question}\n답: "


@dataclass(frozen=True)
class Drill:
    """What a drill showed. ``symptoms``: (what, broken, mended); ``found`` and ``left``: the tools' words on either."""

    title: str
    tool: str
    symptoms: Sequence[tuple[str, str, str]]
    found: list[str]
    remedy: str
    left: list[str] = field(default_factory=list)

    def show(self) -> None:
        print(f"■ {self.title}")
        for what, broken, mended in self.symptoms:
            print(f"  증상   {what}: 고장 {broken} → 고친 뒤 {mended}")
        print(f"  찾기   {self.tool}")
        for line in "\n".join(self.found).splitlines():
            print(f"         {line}")
        print(f"  고치기 {self.remedy}")
        print("  다시   " + ("\n".join(self.left) or "같은 도구가 아무것도 찾지 못했습니다."))


def run(name: str) -> Drill:
    """Do the drill ``name`` of ``DRILLS``, print what it showed, and return it.

    Raises:
        KeyError: there is no such drill.
    """
    drill = DRILLS[name]()
    drill.show()
    return drill


# --- What the drills measure


def _relabelled(labels: Callable[[dict], list[int]]) -> Any:
    from datasets import Dataset

    return Dataset.from_list([{**row, "labels": labels(row)} for row in healthy_rows().to_list()])


def _answer_loss(model: Any) -> float:
    """Mean loss of the validation answers, in the form in which they will be asked."""
    import torch

    losses = []
    for row in healthy_rows("validation"):
        ids, labels = (torch.tensor([row[name]], device=model.device) for name in ("input_ids", "labels"))
        with torch.no_grad():
            losses.append(model.eval()(input_ids=ids, labels=labels).loss.item())
    return sum(losses) / len(losses)


def _stopped(model: Any) -> float:
    """Share of validation answers that end by themselves, before ``max_new_tokens``."""
    eos, rows = tokenizer().eos_token_id, healthy_rows("validation")
    prompts = [
        [t for t, label in zip(row["input_ids"], row["labels"], strict=True) if label < 0] for row in rows
    ]
    batch = tokenizer().pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(model.device)
    output = model.eval().generate(
        **batch, max_new_tokens=PRACTICE.max_new_tokens, do_sample=False, use_cache=True
    )
    new = output[:, batch["input_ids"].shape[1] :]
    return float((new == eos).any(dim=1).float().mean())


def _last(attempt: Attempt, column: str = "loss") -> float:
    return float(attempt.history[column].dropna().iloc[-1])


# --- The drills --------------------------------------------------------------------------------------------------


def pad_eos() -> Drill:
    """The collator for language models blanks the labels of padding, and with pad = EOS those of every EOS."""
    from transformers import DataCollatorForLanguageModeling

    trap = copy.deepcopy(tokenizer())
    trap.pad_token = trap.eos_token
    collator = DataCollatorForLanguageModeling(trap, mlm=False)
    rows = healthy_rows().to_list()
    blanked = [collator([{"input_ids": row["input_ids"]}])["labels"][0].tolist() for row in rows]
    labels = {tuple(row["input_ids"]): b for row, b in zip(rows, blanked, strict=True)}
    # Only the answer's labels, as in the healthy run: one thing is broken at a time.
    masked = _relabelled(
        lambda row: [
            b if own >= 0 else own
            for b, own in zip(labels[tuple(row["input_ids"])], row["labels"], strict=True)
        ]
    )
    broken, mended = attempt(masked, never_stops=True), attempt(never_stops=True)
    return Drill(
        "pad_token = eos_token",
        "audit_labels",
        [
            ("학습 손실의 끝", f"{_last(broken):.2f}", f"{_last(mended):.2f}"),
            ("스스로 멈춘 답", f"{_stopped(broken.model):.0%}", f"{_stopped(mended.model):.0%}"),
        ],
        findings(broken),
        "토크나이저의 패딩 토큰을 그대로 쓰고, 라벨은 tokenize_records로 만듭니다.",
        findings(mended),
    )


def full_text() -> Drill:
    """The loss of the whole text: mostly that of documents which nobody will ask the model to write."""
    broken = attempt(_relabelled(lambda row: row["input_ids"]))
    share = sum(t >= 0 for r in healthy_rows() for t in r["labels"]) / sum(map(len, healthy_rows()["labels"]))
    return Drill(
        "전체 글에 손실",
        "audit_labels",
        [
            ("학습 손실의 끝(좋아 보입니다)", f"{_last(broken):.2f}", f"{_last(healthy()):.2f}"),
            ("손실에서 답의 몫(토큰)", f"{share:.0%}", "100%"),
            ("답만의 검증 손실", f"{_answer_loss(broken.model):.2f}", f"{_answer_loss(healthy().model):.2f}"),
        ],
        findings(broken),
        "프롬프트 자리의 라벨을 -100으로 바꿉니다(tokenize_records).",
        findings(healthy()),
    )


def wrong_template() -> Drill:
    """Trained on a prompt written by hand, asked through the chat template."""
    from datasets import Dataset

    def by_hand(record: Any) -> dict[str, list[int]]:
        text = SLIDE_PROMPT.format(context=" ".join(record.context), question=record.question)
        prompt, answer = (
            tokenizer()(t, add_special_tokens=False)["input_ids"] for t in (text, record.answer)
        )
        answer = [*answer, tokenizer().eos_token_id]
        ids = prompt + answer
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * len(prompt) + answer}

    rows = {name: Dataset.from_list([by_hand(r) for r in part]) for name, part in records().items()}
    broken = attempt(rows["train"], validation=rows["validation"])
    return Drill(
        "틀린 채팅 템플릿",
        "audit_labels(…, records)",
        [
            (
                "학습하던 형식의 검증 손실",
                f"{_last(broken, 'eval_loss'):.2f}",
                f"{_last(healthy(), 'eval_loss'):.2f}",
            ),
            (
                "실제로 묻는 형식의 검증 손실",
                f"{_answer_loss(broken.model):.2f}",
                f"{_answer_loss(healthy().model):.2f}",
            ),
        ],
        findings(broken),
        "학습과 평가의 프롬프트를 모두 to_messages와 채팅 템플릿으로 만듭니다.",
        findings(healthy()),
    )


def rate_high() -> Drill:
    """Steps so long that each one overshoots."""
    return _rate(100, "학습률 × 100")


def rate_low() -> Drill:
    """Steps so short that nothing moves."""
    return _rate(1 / 100, "학습률 ÷ 100")


def _rate(factor: float, title: str) -> Drill:
    broken = attempt(learning_rate=PRACTICE.learning_rate * factor)
    peak = [f"{float(a.history['loss'].max()):.2f}" for a in (broken, healthy())]
    return Drill(
        title,
        "diagnose_history",
        [
            ("학습 손실의 최고", *peak),
            ("학습 손실의 끝", f"{_last(broken):.2f}", f"{_last(healthy()):.2f}"),
        ],
        findings(broken),
        f"학습률을 {broken.profile.learning_rate:g}에서 {PRACTICE.learning_rate:g}로 되돌립니다.",
        findings(healthy()),
    )


def overfitting() -> Drill:
    """The same number of steps over four records: learned by heart."""
    few = healthy_rows().select(range(4))
    broken = attempt(few, epochs=32.0, learning_rate=3e-3, eval_steps=4)
    lowest = float(broken.history["eval_loss"].min())
    return Drill(
        "과적합",
        "diagnose_history",
        [
            ("학습 손실의 끝", f"{_last(broken):.4f}", f"{_last(healthy()):.4f}"),
            ("검증 손실의 최저와 끝", f"{lowest:.2f}, {_last(broken, 'eval_loss'):.2f}", _falling(healthy())),
        ],
        findings(broken),
        f"레코드를 {len(few)}건에서 {TRAIN_RECORDS}건으로 늘리고 {TRAIN_RECORDS}건을 한 번만 훑습니다. "
        "늘릴 수 없으면 조기 종료와 가장 좋은 체크포인트를 씁니다.",
        findings(healthy()),
    )


def _falling(attempt: Attempt) -> str:
    return f"{float(attempt.history['eval_loss'].min()):.2f}, {_last(attempt, 'eval_loss'):.2f}"


def unmatched_targets() -> Drill:
    """A target that this model does not have: PEFT attaches the others and says nothing."""
    from peft import LoraConfig, get_peft_model

    from src.qlora.adapters import trainable_parameters
    from src.qlora.loading import load_base_model

    asked, right = ("q_proj", "k_proj", "v_proj", "out_proj"), ("q_proj", "k_proj", "v_proj", "o_proj")
    counts = []
    for names in (asked, right):
        config = LoraConfig(r=PRACTICE.lora_r, target_modules=list(names), task_type="CAUSAL_LM")
        with quiet():
            model = get_peft_model(load_base_model(PRACTICE), config)
        counts.append(f"{trainable_parameters(model)[0]:,}개")
    broken = attempt(targets=asked)
    mended = attempt(targets=right, epochs=0.25)
    return Drill(
        "없는 층에 LoRA",
        "attach_adapter",
        [("PEFT만 썼을 때 학습하는 파라미터", *counts)],
        findings(broken),
        "오류가 알려 준 이름(o_proj)으로 고칩니다.",
        findings(mended),
    )


def out_of_memory() -> Drill:
    """A batch four times what the card holds; the advice is followed until it fits."""
    rows = healthy_rows().select(range(16))
    from src.classroom.meters import SmallCard

    with SmallCard() as unlimited:
        attempt(rows, batch_size=4, gradient_accumulation_steps=4)
    capacity = 1.25 * unlimited.peak
    tried: list[Attempt] = []
    batch, accumulation = 16, 1
    while not tried or tried[-1].error:
        with SmallCard(capacity) as card:
            tried.append(attempt(rows, batch_size=batch, gradient_accumulation_steps=accumulation))
        if tried[-1].error:
            batch, accumulation = batch // 2, accumulation * 2
    broken, mended = tried[0], tried[-1]
    sizes = [f"{a.profile.batch_size} × {a.profile.gradient_accumulation_steps}" for a in (broken, mended)]
    return Drill(
        "메모리 부족",
        "OutOfMemory(explain_out_of_memory)",
        [
            ("배치 × 누적", *sizes),
            (f"{capacity / 2**20:.0f} MiB 카드에서", "멈춤", f"최고 {card.peak / 2**20:.0f} MiB"),
        ],
        findings(broken),
        "조언대로 배치를 반으로, 누적을 두 배로 바꾸기를 되풀이합니다. 한 번의 갱신에 쓰는 건수는 그대로입니다.",
        findings(mended),
    )


DRILLS: dict[str, Callable[[], Drill]] = {
    "pad-eos": pad_eos,
    "full-text": full_text,
    "template": wrong_template,
    "rate-high": rate_high,
    "rate-low": rate_low,
    "overfitting": overfitting,
    "targets": unmatched_targets,
    "memory": out_of_memory,
}
