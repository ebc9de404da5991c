"""The first look counts what got better and what got worse alike."""

from types import SimpleNamespace

from src.classroom.first_look import KINDS, FirstLook


def look(*rows):
    """Of (reference, before, after)."""
    asked = [SimpleNamespace(question=f"질문 {n}", answer=row[0]) for n, row in enumerate(rows)]
    return FirstLook(asked, [row[1] for row in rows], [row[2] for row in rows])


def test_every_question_is_of_one_kind():
    shown = look(("물 3L.", "3L", "물 3L"), ("5kg", "5kg", "6kg"), ("7W", "8W", "9W"), ("1일", "1일", "1일."))
    assert shown.kinds() == list(KINDS.values())
    assert shown.counts() == [(kind, 1) for kind in KINDS.values()]
    assert [row[1:] for row in shown.examples()] == [
        ("질문 0", "물 3L.", "3L", "물 3L"),
        ("질문 1", "5kg", "5kg", "6kg"),
        ("질문 2", "7W", "8W", "9W"),
        ("질문 3", "1일", "1일", "1일."),
    ]


def test_a_kind_that_does_not_occur_is_counted_as_none_and_has_no_example():
    shown = look(("7W", "8W", "9W"), ("7W", "7", "6"))
    assert shown.counts() == [(kind, 2 * (kind == "틀림 → 틀림")) for kind in KINDS.values()]
    assert [row[:2] for row in shown.examples()] == [("틀림 → 틀림", "질문 0")]
