from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.quality.personal_data import find_personal_data, mask_personal_data

FOUND = [
    ("연락처는 010-0000-1234입니다.", "휴대전화", "01*-****-****"),
    ("연락처는 01000001234예요", "휴대전화", "01*********"),
    ("010.0000.1234", "휴대전화", "01*.****.****"),
    ("HP-010 0000 1234-부재중", "휴대전화", "01* **** ****"),
    ("+82 10-0000-1234", "휴대전화", "+8* **-****-****"),
    ("011-000-1234", "휴대전화", "01*-***-****"),
    ("전화 02-000-1234로", "유선전화", "02-***-****"),
    ("(02)000-1234", "유선전화", "(0*)***-****"),
    ("안심번호 0507-0000-1234", "유선전화", "05**-****-****"),
    ("user1@example.com으로 보내 주세요", "이메일", "us***@example.com"),
    ("ab@example.co.kr-담당자", "이메일", "a*@example.co.kr"),
    ("a@example.com", "이메일", "*@example.com"),
    ("번호는 850101-1234567입니다", "주민등록번호", "85****-*******"),
    ("850101 - 2234567", "주민등록번호", "85**** - *******"),
    ("850101-5234567", "외국인등록번호", "85****-*******"),
    ("카드 1111-2222-3333-4444", "카드번호", "11**-****-****-****"),
    ("카드 4111111111111111", "카드번호", "41**************"),
    ("계좌 110-234-567890입니다", "계좌번호", "11*-***-******"),
    ("농협 302-1234-5678-91", "계좌번호", "30*-****-****-**"),
    ("국민은행 12345678901234로", "계좌번호", "12************"),
    ("면허 11-22-333333-44", "운전면허번호", "11-**-******-**"),
    ("여권번호: M12345678", "여권번호", "M1*******"),
]


@pytest.mark.parametrize(("text", "kind", "masked"), FOUND)
def test_personal_data_is_found_and_masked(text, kind, masked):
    (hit,) = find_personal_data(text)
    assert (hit["kind"], hit["masked"]) == (kind, masked)
    assert text[hit["start"] : hit["end"]] == hit["text"]
    assert mask_personal_data(text) == text.replace(hit["text"], masked)
    assert find_personal_data(mask_personal_data(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "DH-2741의 소비 전력은 310W입니다.",
        "2024-01-15에 출시",
        "2024-01-15 10:30~2024-02-15",
        "1,249,000원",
        "1588-0000",
        "080-000-1234",
        "991301-1234567",  # no 13th month
        "사업자등록번호 220-81-62517",  # a company's, with the right check digit
        "문서 번호 2024-0115-0003",
        "주문 번호 4111111111111112",  # 16 digits with a wrong check digit
        "일련번호 AB-110-234-567890",
        "제품 번호 M12345678",
        "ISBN 978-89-1234-567-8",
        "10 2023 2024",
        "버전 10.11.1234",
        "v1.0@2x",
        "서울 02 지역, 1234대",
        "0.0310W",
    ],
)
def test_ordinary_numbers_are_not_personal(text):
    assert find_personal_data(text) == []


def test_hits_come_in_reading_order_and_do_not_overlap():
    text = "01000001234@example.com, 02-000-1234, 010-0000-1234"
    hits = find_personal_data(text)
    assert [hit["kind"] for hit in hits] == ["이메일", "유선전화", "휴대전화"]
    assert mask_personal_data(text) == "01*********@example.com, 02-***-****, 01*-****-****"


pieces = st.sampled_from(
    [hit[0] for hit in FOUND]
    + list("0123456789-. @()+가a")
    + ["010", "1234", "0000", "계좌", "여권 M", "@a.kr"]
)


@given(st.lists(pieces, max_size=12).map("".join) | st.text(max_size=60))
def test_masking_is_complete_idempotent_and_keeps_the_form(text):
    masked = mask_personal_data(text)
    assert find_personal_data(masked) == []
    assert mask_personal_data(masked) == masked
    assert len(masked) == len(text)
    assert all(new in (old, "*") for new, old in zip(masked, text, strict=True))


@pytest.mark.parametrize("unit", ["a.", "a", "0", "0-", "01", "1234-", "a@a.", "계좌", "여권", "010 "])
def test_long_fields_are_read_in_time_linear_in_their_length(unit):
    """A million characters of the worst kinds; a pattern that backtracks over them would not come back."""
    assert len(mask_personal_data(unit * (1_000_000 // len(unit)))) >= 999_999
