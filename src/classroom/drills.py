"""Fine-tuning broken on purpose on the tiny base: provoke it, see the symptom, find it with a tool of ours, mend it.

``run("pad-eos")`` shows one drill; ``DRILLS`` names them all. Every run goes through the same three tools,
``practice.findings``: what our training raises, the label audit, and the diagnosis of the loss history.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from src.classroom import practice
from src.classroom.practice import PRACTICE, Attempt, attempt, healthy, healthy_rows, last_loss, train_count

# The slides' form, in which this base was not tuned.
SLIDE_PROMPT = "문맥: {context}\n질문: {question}\n답: "


@dataclass
class Drill:
    """What a drill showed. ``symptoms``: (what, broken, mended); ``found`` and ``left``: the tools' words on either."""

    title: str
    tool: str
    attempts: tuple[Attempt, Attempt]  # broken, mended; both go through the same measures and tools
    measures: dict[str, Callable[[Attempt], str]]
    remedy: str

    def __post_init__(self) -> None:
        self.symptoms = [(what, *map(measure, self.attempts)) for what, measure in self.measures.items()]
        self.found, self.left = map(practice.findings, self.attempts)


def run(name: str) -> Drill:
    """Do the drill ``name`` of ``DRILLS``, print what it showed, and return it.

    Raises:
        KeyError: there is no such drill.
    """
    drill = DRILLS[name]()
    print(f"■ {drill.title}")
    for what, broken, mended in drill.symptoms:
        print(f"  증상   {what}: 고장 {broken} → 고친 뒤 {mended}")
    print(f"  찾기   {drill.tool}")
    for line in "\n".join(drill.found).splitlines():
        print(f"         {line}")
    print(f"  고치기 {drill.remedy}")
    print("  다시   " + ("\n".join(drill.left) or "같은 도구가 아무것도 찾지 못했습니다."))
    return drill


def pad_eos() -> Drill:
    """The collator for language models blanks the labels of padding, and with pad = EOS those of every EOS."""
    from transformers import DataCollatorForLanguageModeling

    trap = copy.deepcopy(practice.tokenizer())
    trap.pad_token = trap.eos_token
    collator = DataCollatorForLanguageModeling(trap, mlm=False)

    def blanked(row: dict) -> list[int]:
        labels = collator([{"input_ids": row["input_ids"]}])["labels"][0].tolist()
        # Only the answer's labels, as in the healthy run: one thing is broken at a time.
        return [new if own >= 0 else own for new, own in zip(labels, row["labels"], strict=True)]

    return Drill(
        "pad_token = eos_token",
        "audit_labels",
        (attempt(practice.relabelled(blanked), never_stops=True), attempt(never_stops=True)),
        {"학습 손실의 끝": last_loss, "스스로 멈춘 답": practice.stopped},
        "토크나이저의 패딩 토큰을 그대로 쓰고, 라벨은 tokenize_records로 만듭니다.",
    )


def full_text() -> Drill:
    """The loss of the whole text: mostly that of documents which nobody will ask the model to write."""

    def answers_share(attempt: Attempt) -> str:
        answer = sum(label >= 0 for labels in healthy_rows()["labels"] for label in labels)
        return f"{answer / sum(t >= 0 for labels in attempt.rows['labels'] for t in labels):.0%}"

    return Drill(
        "전체 글에 손실",
        "audit_labels",
        (attempt(practice.relabelled(lambda row: row["input_ids"])), healthy()),
        {
            "학습 손실의 끝": last_loss,
            "손실에서 답의 몫(토큰)": answers_share,
            "답만의 검증 손실": practice.answer_loss,
        },
        "프롬프트 자리의 라벨을 -100으로 바꿉니다(tokenize_records).",
    )


def wrong_template() -> Drill:
    """Trained on a prompt written by hand, asked through the chat template."""
    from datasets import Dataset

    def by_hand(record: Any) -> dict[str, list[int]]:
        text = SLIDE_PROMPT.format(context=" ".join(record.context), question=record.question)
        prompt, answer = practice.tokenizer()([text, record.answer], add_special_tokens=False)["input_ids"]
        answer = [*answer, practice.tokenizer().eos_token_id]
        ids = prompt + answer
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * len(prompt) + answer}

    rows = {name: Dataset.from_list([by_hand(r) for r in part]) for name, part in practice.records().items()}
    return Drill(
        "틀린 채팅 템플릿",
        "audit_labels(…, records)",
        (attempt(rows["train"], validation=rows["validation"]), healthy()),
        {
            "학습하던 형식의 검증 손실": practice.eval_loss,
            "실제로 묻는 형식의 검증 손실": practice.answer_loss,
        },
        "학습과 평가의 프롬프트를 모두 to_messages와 채팅 템플릿으로 만듭니다.",
    )


def _rate(factor: float, title: str) -> Drill:
    """Steps so long that each one overshoots, or so short that nothing moves."""
    broken = attempt(learning_rate=PRACTICE.learning_rate * factor)
    return Drill(
        title,
        "diagnose_history",
        (broken, healthy()),
        {"학습 손실의 최고": lambda a: f"{a.history['loss'].max():.2f}", "학습 손실의 끝": last_loss},
        f"학습률을 {broken.profile.learning_rate:g}에서 {PRACTICE.learning_rate:g}로 되돌립니다.",
    )


def overfitting() -> Drill:
    """The same number of steps over four records: learned by heart."""
    few, count = healthy_rows().select(range(4)), train_count()
    return Drill(
        "과적합",
        "diagnose_history",
        (attempt(few, epochs=count / 3, learning_rate=3e-3, eval_steps=4), healthy()),
        {
            "학습 손실의 끝": lambda a: last_loss(a, digits=4),
            "검증 손실의 최저와 끝": lambda a: f"{a.history['eval_loss'].min():.2f}, {practice.eval_loss(a)}",
        },
        f"레코드를 {len(few)}건에서 {count}건으로 늘리고 {count}건을 한 번만 훑습니다. "
        "늘릴 수 없으면 조기 종료와 가장 좋은 체크포인트를 씁니다.",
    )


def unmatched_targets() -> Drill:
    """A target that this model does not have: PEFT attaches the others and says nothing."""
    from peft import LoraConfig, get_peft_model

    from src.qlora.adapters import trainable_parameters
    from src.qlora.loading import load_base_model

    asked, right = {"q_proj", "k_proj", "v_proj", "out_proj"}, {"q_proj", "k_proj", "v_proj", "o_proj"}

    def by_peft_alone(names: set[str]) -> str:
        config = LoraConfig(r=PRACTICE.lora_r, target_modules=names, task_type="CAUSAL_LM")
        with practice.quiet():
            model = get_peft_model(load_base_model(PRACTICE), config)
        return f"{trainable_parameters(model)[0]:,}개"

    broken = attempt(targets=asked)
    return Drill(
        "없는 층에 LoRA",
        "attach_adapter",
        (broken, attempt(targets=right, epochs=0.25)),
        {"PEFT만 썼을 때 학습하는 파라미터": lambda a: by_peft_alone(asked if a is broken else right)},
        "오류가 알려 준 이름(o_proj)으로 고칩니다.",
    )


def out_of_memory() -> Drill:
    """A batch four times what the card holds; the advice is followed until it fits."""
    from src.classroom.meters import TensorBytes

    rows = healthy_rows().select(range(16))
    with TensorBytes() as unlimited:
        attempt(rows, batch_size=4, gradient_accumulation_steps=4)
    capacity = 1.25 * unlimited.peak
    told = f"{capacity / 2**20:.0f} MiB 카드에서"
    tried: list[Attempt] = []
    while not tried or tried[-1].error:
        parts = 2 ** len(tried)
        with TensorBytes(capacity) as card:
            tried.append(attempt(rows, batch_size=16 // parts, gradient_accumulation_steps=parts))
    return Drill(
        "메모리 부족",
        "OutOfMemory(explain_out_of_memory)",
        (tried[0], tried[-1]),
        {
            "배치 × 누적": lambda a: f"{a.profile.batch_size} × {a.profile.gradient_accumulation_steps}",
            told: lambda a: "멈춤" if a.error else f"최고 {card.peak / 2**20:.0f} MiB",
        },
        "조언대로 배치를 반으로, 누적을 두 배로 바꾸기를 되풀이합니다. 한 번의 갱신에 쓰는 건수는 그대로입니다.",
    )


def unclipped() -> Drill:
    """SGD's step is as long as the gradient, so that one steep batch throws it far; AdamW divides by the usual size."""
    few, asked = healthy_rows().select(range(24)), healthy_rows("validation").select(range(4))
    options = {"validation": asked, "optim": "sgd", "learning_rate": 1.0, "logging_steps": 1}
    broken, mended = (attempt(few, max_grad_norm=limit, **options) for limit in (0.0, 1.0))
    return Drill(
        "기울기 자르기를 끔(SGD)",
        "diagnose_history",
        (broken, mended),
        {"학습 손실의 최고": lambda a: f"{a.history['loss'].max():.2f}", "학습 손실의 끝": last_loss},
        "자르기를 다시 켭니다(max_grad_norm=1.0, Trainer의 기본값).",
    )


DRILLS: dict[str, Callable[[], Drill]] = {
    "pad-eos": pad_eos,
    "full-text": full_text,
    "template": wrong_template,
    "rate-high": lambda: _rate(100, "학습률 × 100"),
    "rate-low": lambda: _rate(1 / 100, "학습률 ÷ 100"),
    "overfitting": overfitting,
    "targets": unmatched_targets,
    "memory": out_of_memory,
    "clipping": unclipped,
}
