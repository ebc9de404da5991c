"""Does it help to renumber about a hundred rows? Held-out groups, equal steps, several seeds.

``python -m benchmarks.augmentation`` trains two adapters a seed and writes docs/benchmarks.md (some minutes).
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

from benchmarks import machine, write_section
from src import pipeline
from src.data.schemas import RawSample
from src.evaluation.resampling import paired_difference
from src.experiments.augmentation import augmented_records
from src.profiles import PROFILES, Profile
from src.qlora.adapters import load_adapter
from src.qlora.configs import build_bnb_config
from src.qlora.loading import free_memory, load_base_model, load_tokenizer
from src.scoring.correctness import answer_contained

SEEDS, COPIES, EPOCHS = (1, 2, 3), 3, 5
TRAIN, HELD_OUT = 25, 24  # libraries; four questions each
FACTS = {
    "대출 기간": ("은 며칠인가요?", "일", range(10, 60)),
    "대출 한도": ("는 몇 권인가요?", "권", range(10, 60)),
    "연체료": ("는 하루에 얼마인가요?", "원", range(100, 990, 10)),
    "열람석": ("은 몇 석인가요?", "석", range(100, 400)),
}
_SYLLABLES = "가나다라마바사아자하거너더러머버서어고노도로모보소오구누두루무부수우기니디리미비시이"


def libraries(count: int, seed: int) -> list[RawSample]:
    """Documents like those of notebook 05, with names of three syllables."""
    rng = Random(seed)
    names: dict[str, None] = {}
    while len(names) < count:
        names["".join(rng.choices(_SYLLABLES, k=3))] = None
    rows = []
    for name in names:
        values = {fact: rng.choice(span) for fact, (_, _, span) in FACTS.items()}
        stated = [f"{fact}{ask[0]} {values[fact]}{unit}입니다." for fact, (ask, unit, _) in FACTS.items()]
        text = " ".join([f"{name} 도서관 이용 안내입니다.", *rng.sample(stated, len(stated))])
        for fact, (ask, unit, _) in FACTS.items():
            answer, question = f"{values[fact]}{unit}입니다.", f"{name} 도서관의 {fact}{ask}"
            rows.append(
                RawSample(id=f"{name}-{fact}", group_id=name, question=question, context=text, answer=answer)
            )
    return rows


def right(profile: Profile, records: dict, folder: Path) -> tuple[list[float], list[float], int]:
    """Right values (0 or 1) on the answerable test records of the base and of a newly trained adapter, and its steps."""
    log = pipeline.train_adapter(profile, records, output_dir=folder)
    base = load_base_model(profile, quantization_config=build_bnb_config(profile))
    model = load_adapter(base, folder / "adapter")
    answers = pipeline.evaluate_adapter(profile, model, records["test"])[:2]
    del base, model
    free_memory()
    sides = [
        [
            float(answer_contained(text, r.answer))
            for text, r in zip(texts, records["test"], strict=True)
            if r.answerable
        ]
        for texts in answers
    ]
    return sides[0], sides[1], log["steps"]


def measure(seed: int) -> dict:
    """One seed: 100 rows, and the same with ``COPIES`` renumbered rounds in as many steps."""
    profile = replace(
        PROFILES["tiny"], seed=seed, num_distractors=1, epochs=EPOCHS, eval_steps=1000, bleu_records=0,
        early_stopping_patience=0, data_files=("libraries",), max_test_records=200,
    )  # fmt: skip
    tokenizer = load_tokenizer(profile)
    rows = libraries(TRAIN + 4 + HELD_OUT, seed)
    cuts = {
        "train": rows[: 4 * TRAIN],
        "validation": rows[4 * TRAIN : 4 * (TRAIN + 4)],
        "test": rows[4 * (TRAIN + 4) :],
    }
    records = pipeline.convert_splits(cuts, profile, tokenizer)[0]
    more = augmented_records(cuts["train"], profile, tokenizer, copies=COPIES)
    grown = {**records, "train": [*records["train"], *more]}
    fewer = replace(profile, epochs=EPOCHS * len(records["train"]) / len(grown["train"]))
    with tempfile.TemporaryDirectory() as folder:
        base, plain, steps = right(profile, records, Path(folder) / "plain")
        _, augmented, same = right(fewer, grown, Path(folder) / "augmented")
    groups = [r.group_id for r in records["test"] if r.answerable]
    gain = paired_difference(
        plain, augmented, "answer_contained", groups=groups, n_resamples=2000, seed=seed
    )  # fmt: skip
    print(seed, steps, same, gain, flush=True)
    return {"seed": seed, "base": base, "plain": plain, "augmented": augmented, "gain": gain, "steps": (steps, same), "rows": (len(records["train"]), len(grown["train"]))}  # fmt: skip


def report(results: list[dict]) -> str:
    """The section of docs/benchmarks.md."""
    lines = ["| 시드 | 학습 레코드 | 스텝 | 베이스 모델 | 그대로 | 늘림 | 차이 | 95% 구간 | p값 |", "|---:|---|---|---:|---:|---:|---:|---|---:|"]  # fmt: skip
    for r in results:
        shares = " | ".join(
            f"{sum(r[k])}/{len(r[k])}".replace(".0", "") for k in ("base", "plain", "augmented")
        )
        gain = r["gain"]
        lines.append(
            f"| {r['seed']} | {r['rows'][0]} → {r['rows'][1]} | {r['steps'][0]}, {r['steps'][1]} | {shares} "
            f"| {gain.difference:+.3f} | {gain.interval[0]:+.3f} ~ {gain.interval[1]:+.3f} | {gain.p_text} |"
        )
    better = sum(r["gain"].judgement == "나아짐" for r in results)
    worse = sum(r["gain"].judgement == "나빠짐" for r in results)
    return "\n".join(
        [
            "## 작은 데이터 늘리기",
            "",
            f"노트북 05와 같은 꼴의 도서관 안내문으로 학습 쪽 {4 * TRAIN}건을 만들고, 문서와 답의 수를 함께 바꾸고 문장의 순서를 "
            f"섞은 것({COPIES}번, `renumbered`)을 더했습니다. 두 어댑터는 스텝의 수가 같고, 학습에 없는 도서관 {HELD_OUT}곳의 "
            "답 있는 질문에서 값이 맞은 답을 셉니다. 구간과 p값은 도서관을 단위로 잰 것입니다. "
            "다시 재려면 `.venv/bin/python -m benchmarks.augmentation`을 실행합니다.",
            "",
            *lines,
            "",
            f"시드 {len(results)}개 가운데 나아짐 {better}개, 나빠짐 {worse}개입니다. tiny 프로파일에서 잰 것이고, 다른 모델과 "
            "데이터에서는 다시 재야 합니다.",
            "",
            machine("torch", "transformers", "peft"),
        ]
    )


def main() -> None:
    write_section("augmentation", report([measure(seed) for seed in SEEDS]))


if __name__ == "__main__":
    main()
