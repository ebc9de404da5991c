"""Records are searched for what should not be learned (notebook 02).

In: records. Out: findings with their reasons, the records that are left, and a sheet for people.
Elective 12: labels, and which of them are wrong.
"""

from src.quality.cleaning import (
    ACTIONS,
    CHECKS,
    MIN_GROUNDEDNESS,
    MIN_RELEVANCE,
    NEAR_DUPLICATE,
    Finding,
    balance_table,
    clean_conversations,
    clean_records,
    detection_table,
    find_flaws,
    rebalance,
    token_length_stats,
)
from src.quality.duplicates import find_exact_duplicates, find_near_duplicates
from src.quality.grounding import check_groundedness, check_relevance
from src.quality.label_errors import (
    Planted,
    cleanlab_counts,
    confident_counts,
    find_label_errors,
    plant_errors,
)
from src.quality.label_review import read_label_sheets, write_label_sheet
from src.quality.personal_data import find_personal_data, mask_personal_data
from src.quality.review import (
    QUESTIONS,
    READER,
    read_review_sheet,
    summarize_review,
    write_report,
    write_review_sheet,
)
