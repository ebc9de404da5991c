"""The open-book exam: what is shown, what is right, and a second adapter beside the first."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from src.evidence import ABSTENTION
from src.memory import GIB, estimate_vram
from src.open_book import (
    GOLDEN_ONLY,
    add_golden_only,
    compare_right,
    golden_only_profile,
    golden_only_records,
    is_right,
    open_book_records,
    open_book_table,
    train_golden_only,
)
from src.pipeline import save_clean_records
from src.profiles import ROOT
from src.raft import count_tokens
from src.retrieval import BM25Retriever
from src.schemas import RaftRecord

DOCUMENTS = [f"모델 {i}의 소비 전력은 {100 + 7 * i}W입니다." for i in range(8)]


@pytest.fixture
def questions(records):
    return [
        RaftRecord(**{**row, "context": [DOCUMENTS[i], DOCUMENTS[i - 1]]})
        for i, row in enumerate(records[:6])
    ]


@pytest.fixture
def exam(tokenizer, tiny_profile, questions):
    def make(k, **options):
        profile = replace(tiny_profile, **options.pop("profile", {"max_seq_length": 512}))
        retriever = BM25Retriever(DOCUMENTS)
        return open_book_records(questions, retriever, k, tokenizer=tokenizer, profile=profile, **options)

    return make


def test_the_retrievers_documents_stand_in_the_records_place_best_first(exam, questions, tokenizer):
    retriever = BM25Retriever(DOCUMENTS)
    for record, paper in zip(questions, exam(3), strict=True):
        assert paper.context == [text for text, _ in retriever.retrieve(record.question, 3)]
        assert paper.n_tokens == count_tokens(paper, tokenizer)
        assert (paper.id, paper.question, paper.group_id) == (record.id, record.question, record.group_id)
        assert paper.answerable == (record.context[0] in paper.context)
        if paper.answerable:
            assert paper.context[paper.golden_index] == record.context[0] and paper.answer == record.answer
    assert questions[0].context == [DOCUMENTS[0], DOCUMENTS[-1]]  # left as they were


def test_without_the_answer_no_document_holds_it_and_abstaining_is_right(exam, questions):
    for record, paper in zip(questions, exam(10, without_answer=True), strict=True):
        assert record.context[0] not in paper.context and len(paper.context) == len(DOCUMENTS) - 1
        assert (paper.answerable, paper.golden_index, paper.answer) == (False, None, ABSTENTION)


def test_the_last_documents_go_until_prompt_and_answer_fit(exam, tokenizer, tiny_profile):
    whole = exam(8)[0]
    room = whole.n_tokens - 20  # one document less, or two
    short = exam(8, profile={"max_seq_length": room})[0]
    assert short.context == whole.context[: len(short.context)] and 1 <= len(short.context) < 8
    prompt = {**short.model_dump(), "answer": ""}
    assert count_tokens(prompt, tokenizer) + tiny_profile.max_new_tokens <= room
    longer = {**prompt, "context": whole.context[: len(short.context) + 1]}
    assert count_tokens(longer, tokenizer) + tiny_profile.max_new_tokens > room
    assert len(exam(8, profile={"max_seq_length": 1})[0].context) == 1  # a prompt is never without documents


def test_right_and_wrong(exam):
    shown, hidden = exam(8)[1], exam(8, without_answer=True)[1]
    assert is_right(shown, "107W입니다.") and not is_right(shown, ABSTENTION) and not is_right(shown, "1107W")
    assert is_right(hidden, ABSTENTION) and not is_right(hidden, "107W입니다.")


def test_table_and_differences_by_hand(exam):
    exams = {"있음": exam(8), "없음": exam(8, without_answer=True)}
    answers = {
        "가": {name: [paper.answer for paper in papers] for name, papers in exams.items()},
        "나": {name: [ABSTENTION] * len(papers) for name, papers in exams.items()},
    }
    table = open_book_table(exams, answers)
    assert len(table) == 2 * 2 * 6 and list(table["골든 문서"].unique()) == ["있음", "없음"]
    share = table.groupby(["시험", "모델"])["맞음"].mean()
    assert share.to_dict() == {("있음", "가"): 1, ("있음", "나"): 0, ("없음", "가"): 1, ("없음", "나"): 1}
    entries = compare_right(table, "나", "가", n_resamples=200, seed=0)
    assert entries["있음"]["difference"] == 1 and entries["있음"]["interval"] == [1, 1]
    assert entries["없음"]["difference"] == 0 and entries["없음"]["p_value"] == 1


def test_a_wrong_model_name_or_a_missing_answer_is_named(exam):
    papers = exam(8)
    right = [paper.answer for paper in papers]
    table = open_book_table({8: papers}, {"가": {8: right}, "나": {8: right}})
    with pytest.raises(ValueError, match=r"다\. 고를 수 있는 모델: 가, 나"):
        compare_right(table, "다", "가", n_resamples=20, seed=0)
    with pytest.raises(ValueError, match="8 시험지 6개, 가의 답 5개"):
        open_book_table({8: papers}, {"가": {8: right[:-1]}})


def test_questions_of_one_product_are_drawn_one_by_one(exam):
    papers = [paper.model_copy(update={"group_id": "하나"}) for paper in exam(8)]
    right = [paper.answer for paper in papers]
    table = open_book_table({8: papers}, {"가": {8: right}, "나": {8: right[:3] + ["모름"] * 3}})
    low, high = compare_right(table, "나", "가", n_resamples=200, seed=0)[8]["interval"]
    assert low < 0.5 < high


def test_memory_is_spoken_of_only_where_it_will_not_do(tiny_profile, monkeypatch, capsys):
    import torch

    from src import open_book

    need = estimate_vram(tiny_profile, seq_length=7)["total"]
    trained = []
    row = SimpleNamespace(n_tokens=7)
    monkeypatch.setattr(open_book, "golden_only_records", lambda profile: {"train": [row], "validation": []})
    monkeypatch.setattr(open_book, "train_adapter", lambda *args, **options: trained.append(options))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    for cuda, free, spoken in ((True, need * 0.9, True), (True, need * 1.1, False), (False, 0, False)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=free: (int(free * GIB), 10**12))
        train_golden_only(tiny_profile)
        printed = capsys.readouterr().out
        assert ("open_book.train_golden_only(profile)" in printed) == spoken == bool(printed)
    assert [options["output_dir"] for options in trained] == [tiny_profile.artifacts_dir / GOLDEN_ONLY] * 3


def test_golden_only_is_the_same_recipe_without_distractors(tiny_profile):
    golden = golden_only_profile(tiny_profile)
    changed = {name for name in vars(tiny_profile) if getattr(tiny_profile, name) != getattr(golden, name)}
    assert changed == {"num_distractors", "golden_probability", "bleu_records"}
    assert (golden.num_distractors, golden.golden_probability) == (0, 1.0)


def test_a_second_adapter_stands_beside_the_first(tiny_profile, nf4_base, tmp_path, monkeypatch):
    import torch

    from src.pipeline import load_records, pick
    from src.qlora import attach_adapter

    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path))
    rows = (ROOT / "data/raw/support_qa.jsonl").read_text(encoding="utf-8").splitlines()[:150]
    (tmp_path / "few.jsonl").write_text("\n".join(rows), encoding="utf-8")
    profile = replace(
        tiny_profile,
        data_files=(str(tmp_path / "few.jsonl"),),
        epochs=1,
        max_seq_length=640,
        max_validation_records=4,
        eval_steps=2,
    )
    raft = load_records(profile)
    few = {"train": pick(raft["train"], 8, 0), "validation": pick(raft["validation"], 4, 0), "test": []}
    save_clean_records(profile, few, [])
    golden = golden_only_records(profile)
    for split in ("train", "validation"):
        assert sorted(r.id for r in golden[split]) == sorted(r.id for r in few[split])
        assert all(len(r.context) == 1 and r.answerable and not r.answer == ABSTENTION for r in golden[split])
    originals = {r.id: r for r in few["train"] if r.answerable}
    assert originals and all(
        r.context[0] == originals[r.id].context[originals[r.id].golden_index]
        for r in golden["train"]
        if r.id in originals
    )

    model = attach_adapter(nf4_base, profile).eval()
    ids = torch.arange(20)[None]
    first = logits(model, ids)
    add_golden_only(model, profile)
    assert model.active_adapter == "default" and set(model.peft_config) == {"default", GOLDEN_ONLY}
    assert torch.equal(logits(model, ids), first)
    model.set_adapter(GOLDEN_ONLY)
    second = logits(model, ids)
    assert not torch.equal(second, first)
    log = profile.artifacts_dir / GOLDEN_ONLY / "training_log.json"
    stamp = log.stat().st_mtime_ns
    again = add_golden_only(attach_adapter_again(profile), profile)  # a second time it is read, not trained
    again.set_adapter(GOLDEN_ONLY)
    assert torch.equal(logits(again, ids), second) and log.stat().st_mtime_ns == stamp


def logits(model, ids):
    import torch

    with torch.no_grad():
        return model(ids).logits


def attach_adapter_again(profile):
    from src.models import load_base_model
    from src.qlora import attach_adapter, build_bnb_config

    return attach_adapter(
        load_base_model(profile, quantization_config=build_bnb_config(profile)), profile
    ).eval()
