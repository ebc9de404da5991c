"""Own data, and runs that are written down (notebook 05).

In: a file of one's own, or variants of a recipe. Out: prepared data with a checklist, and one row a run.
"""

from src.experiments.checklist import checklist
from src.experiments.golden_only import (
    GOLDEN_ONLY,
    golden_only_profile,
    load_both_adapters,
    train_golden_only,
)
from src.experiments.log import describe_data, experiment_row, log_experiment, read_experiments
from src.experiments.own_data import Prepared, Talks, prepare, prepare_conversations
from src.experiments.sweeps import Run, best_run, save_card, sweep, sweep_table
