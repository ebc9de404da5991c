"""Files that nobody prepared for the workshop: each runs, or the message says precisely what is missing."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from src import pipeline
from src.data.schemas import Conversation, RaftRecord
from src.experiments.own_data import prepare, prepare_conversations

THINGS = "다리 성벽 우물 정원 누각 서고 창고 사당 시장 나루 제방 봉수대".split()


def stories():
    """(thing, document, [(question, answer, where it begins)]) of a small world."""
    for number, thing in enumerate(THINGS):
        year, height = f"{1400 + 37 * number}년", f"{11 + 3 * number}자"
        text = f"{thing}은 {year}에 세워졌다. 높이는 {height}이다. 돌로 지었다."
        asked = [(f"{thing}이 세워진 해는 언제인가?", year), (f"{thing}의 높이는 얼마인가?", height)]
        yield thing, text, [(question, answer, text.index(answer)) for question, answer in asked]


@pytest.fixture
def profile(tiny_profile):
    return replace(
        tiny_profile, num_distractors=1, validation_ratio=0.3, test_ratio=0.3, max_context_tokens=400
    )


def whole(data):
    """Every row is somewhere: accepted or refused, converted or refused, kept or found."""
    records = sum(map(len, data.records.values()))
    removed = sum(finding.action == "removed" for finding in data.findings)
    assert (
        sum(map(len, data.splits.values())) == len(data.samples) == records + removed + len(data.unconverted)
    )
    assert all(isinstance(r, RaftRecord) and r.n_tokens > 0 for rows in data.records.values() for r in rows)
    return records


def test_squad_form(tmp_path, profile, tokenizer):
    articles = [
        {
            "title": thing,
            "paragraphs": [
                {
                    "context": text,
                    "qas": [
                        {"id": f"{thing}-{n}", "question": q, "answers": [{"text": a, "answer_start": start}]}
                        for n, (q, a, start) in enumerate(asked)
                    ],
                }
            ],
        }
        for thing, text, asked in stories()
    ]
    path = tmp_path / "KorQuAD_dev.json"
    path.write_text(json.dumps({"version": "v1.0", "data": articles}, ensure_ascii=False), encoding="utf-8")
    data = prepare(path, profile, tokenizer, question_threshold=None)
    assert whole(data) > 20 and not data.rejects
    assert {s.group_id for s in data.samples} == set(THINGS)
    drawn = prepare(path, profile, tokenizer, rows=20, question_threshold=None)
    assert len(drawn.samples) == 20
    assert drawn.samples == prepare(path, profile, tokenizer, rows=20, question_threshold=None).samples


@pytest.fixture
def excel_file(tmp_path):
    path = tmp_path / "상담 기록.csv"
    with path.open("w", encoding="cp949", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["접수 번호", "문의 내용", "안내문", "회신"])
        number = 0
        for _, text, asked in stories():
            for question, answer, _ in asked:
                writer.writerow([number := number + 1, question, text, answer])
        writer.writerow([number + 1, "담당자는 누구인가요?", "안내문이 있습니다.", ""])
    return path


def test_cp949_csv_with_other_column_names(excel_file, profile, tokenizer):
    with pytest.raises(ValueError) as error:
        prepare(excel_file, profile, tokenizer)
    told = str(error.value)
    assert "상담 기록.csv" in told and "접수 번호, 문의 내용, 안내문, 회신" in told
    for name in ("question(질문)", "context(답의 근거가 되는 문서)", "answer(답)"):
        assert name in told
    fields = json.loads(told.split("fields=")[1].splitlines()[0].replace("'", '"'))
    assert fields == {"question": "문의 내용", "context": "안내문", "answer": "회신"}
    data = prepare(
        excel_file, profile, tokenizer, fields=fields, question_threshold=None
    )  # as the message says
    assert whole(data) > 20
    assert [(r.field, r.line) for r in data.rejects] == [("answer", 26)]


def test_instructions_without_documents(tmp_path, profile, tokenizer):
    rows = [{"instruction": q, "input": "", "output": a} for _, _, asked in stories() for q, a, _ in asked]
    path = tmp_path / "alpaca.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    fields = {"question": "instruction", "answer": "output"}
    for given in (None, fields):
        with pytest.raises(ValueError) as error:
            prepare(path, profile, tokenizer, fields=given)
        told = str(error.value)
        assert "context" in told and "문서 칸이 아예 없다면" in told and "alpaca.json" in told
        assert "prepare_conversations" in told
        assert ("question(질문)" in told) is (given is None)


def test_a_document_in_input_is_proposed_and_runs(tmp_path, profile, tokenizer):
    rows = [
        {"instruction": q, "input": text, "output": a} for _, text, asked in stories() for q, a, _ in asked
    ]
    path = tmp_path / "reading.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    with pytest.raises(ValueError, match="'context': 'input'"):
        prepare(path, profile, tokenizer)
    fields = {"question": "instruction", "context": "input", "answer": "output"}
    assert whole(prepare(path, profile, tokenizer, fields=fields, question_threshold=None)) > 20


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("empty.jsonl", "", "읽은 행이 없습니다"),
        ("broken.jsonl", "{oops\n{again\n", "하나도 없습니다"),
        ("short.jsonl", '{"question": "왜", "context": "짧다", "answer": "예"}\n', "question: 비어 있거나"),
    ],
)
def test_nothing_usable_says_why(tmp_path, profile, tokenizer, name, text, told):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=told):
        prepare(path, profile, tokenizer)


def test_too_few_documents_for_the_distractors(tmp_path, profile, tokenizer):
    rows = [
        {"question": q, "context": text, "answer": a}
        for _, text, asked in list(stories())[:3]
        for q, a, _ in asked
    ]
    path = tmp_path / "few.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(ValueError, match="레코드가 하나도 남지 않았습니다") as error:
        prepare(path, profile, tokenizer, question_threshold=None)
    assert "방해 문서" in str(error.value) and "num_distractors" in str(error.value)


def test_a_missing_file_is_named(profile, tokenizer, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"없는 파일\.csv"):
        prepare(tmp_path / "없는 파일.csv", profile, tokenizer)


def test_dialogues_and_instructions_are_divided_cleaned_and_counted(tmp_path, profile):
    talks = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for _, _, asked in stories()
        for q, a, _ in asked
    ]
    talks[3]["messages"][0]["content"] += " 제 번호는 010-1234-5678입니다."
    talks[4]["messages"][1]["content"] += " 회신은 saseo@example.com으로 했습니다."
    talks += [dict(talks[0]), {"messages": []}]
    path = tmp_path / "talks.json"
    path.write_text(json.dumps(talks, ensure_ascii=False), encoding="utf-8")
    data = prepare_conversations(path, profile, learn="last")
    kept = [one for rows in data.records.values() for one in rows]
    removed = [found for found in data.findings if found.action == "removed"]
    assert len(kept) + len(removed) + len(data.rejects) == len(talks)
    assert [(found.id, found.detail) for found in removed] == [("talks-25", "모든 말이 같은 행: talks-1")]
    assert {found.id for found in data.findings if found.action == "masked"} == {"talks-4", "talks-5"}
    said = "\n".join(one.context for one in kept)
    assert "01*-****-****" in said and "1234" not in said and "saseo@" not in said
    assert all(data.records.values()) and {one.learn for one in kept} == {"last"}
    assert data.records == prepare_conversations(path, profile, learn="last").records
    for bad in ([], [{"messages": []}]):
        path.write_text(json.dumps(bad), encoding="utf-8")
        with pytest.raises(ValueError, match="하나도 없습니다"):
            prepare_conversations(path, profile)


def test_rows_of_one_group_stay_on_one_side(tmp_path, profile):
    rows = [
        {"instruction": f"{i}번을 고르세요.", "output": "네.", "group_id": f"g{i % 9}"} for i in range(36)
    ]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    data = prepare_conversations(path, profile)
    sides = [{one.group_id for one in rows} for rows in data.records.values()]
    assert sum(map(len, sides)) == 9 and all(sides)


def test_dialogues_are_trained_beside_records(records, tmp_path, tiny_profile):
    talk = Conversation(
        id="t",
        group_id="t",
        messages=[
            {"role": role, "content": text}
            for role, text in zip(
                ("user", "assistant") * 2, ("안녕?", "안녕하세요.", "끝?", "네."), strict=True
            )
        ],
    )
    mixed = {"train": [*records[:6], talk, talk], "validation": [*records[6:8], talk]}
    short = replace(tiny_profile, epochs=1.0, bleu_records=1)
    log = pipeline.train_adapter(short, mixed, output_dir=tmp_path)
    assert (log["train_records"], log["steps"]) == (8, 2)
    assert (tmp_path / "adapter" / "adapter_config.json").exists()


# --- Public data beside one's own -----------------------------------------------------------------------------------


def own_and_public(tmp_path, *, overlap=0):
    """Own rows, and other people's with the same ids; the first ``overlap`` of these repeat own documents."""
    rows = [(q, text, a) for _, text, asked in stories() for q, a, _ in asked]
    public = [(f"{q} (공개)", f"공개 자료. {text}", a) for q, text, a in rows]
    public[:overlap] = rows[:overlap]
    paths = []
    for name, content in (("own", rows), ("public", public)):
        lines = [{"id": n, "question": q, "context": c, "answer": a} for n, (q, c, a) in enumerate(content)]
        paths.append(tmp_path / f"{name}.jsonl")
        paths[-1].write_text(
            "\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8"
        )
    return paths


def test_public_rows_go_to_training_alone(tmp_path, profile, tokenizer):
    own, public = own_and_public(tmp_path)
    alone = prepare(own, profile, tokenizer, question_threshold=None)
    both = prepare(own, profile, tokenizer, question_threshold=None, beside={public: 10})
    assert whole(both) > whole(alone)
    for name in ("validation", "test"):
        assert both.splits[name] == alone.splits[name] and both.records[name] == alone.records[name]
    added = [s for s in both.splits["train"] if s.source == "public.jsonl"]
    assert len(added) == 10 and both.splits["train"][: -len(added)] == alone.splits["train"]
    ids = [s.id for s in both.samples]
    assert len(set(ids)) == len(ids)


def test_public_rows_that_would_leak_are_refused(tmp_path, profile, tokenizer):
    own, public = own_and_public(tmp_path, overlap=24)
    data = prepare(own, profile, tokenizer, question_threshold=None, beside={public: 24})
    held_out = {s.context for name in ("validation", "test") for s in data.splits[name]}
    added = [s for s in data.splits["train"] if s.source == "public.jsonl"]
    assert added and not held_out & {s.context for s in added}
    assert len(data.rejects) == 24 - len(added) and all("겹칩니다" in r.reason for r in data.rejects)


def test_a_local_dataset_stands_in_for_a_hub_id(tmp_path, profile, tokenizer):
    own, public = own_and_public(tmp_path)
    folder = tmp_path / "dataset"
    folder.mkdir()
    public.rename(folder / "train.jsonl")
    data = prepare(own, profile, tokenizer, question_threshold=None, beside={folder: 6})
    assert sum(s.source.startswith("dataset") for s in data.splits["train"]) == 6
