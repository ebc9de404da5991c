"""Own data, and runs that are written down (notebook 05).

In: a file of one's own, or variants of a recipe. Out: prepared data with a checklist, one row a run, and what has to be
settled before an adapter is shipped: the last checklist, its bill, what users' thumbs may teach.
"""

from src.experiments.augmentation import augmented_records, renumbered
from src.experiments.checklist import checklist
from src.experiments.cost import Bill
from src.experiments.feedback import Feedback, take_feedback
from src.experiments.golden_only import (
    GOLDEN_ONLY,
    golden_only_profile,
    load_both_adapters,
    train_golden_only,
)
from src.experiments.log import describe_data, experiment_row, log_experiment, read_experiments
from src.experiments.own_data import Prepared, Talks, prepare, prepare_conversations
from src.experiments.recipe_tables import recipe_view
from src.experiments.shipping import Plan, final_checklist, open_points, write_checklist
from src.experiments.sweeps import Run, best_run, save_card, sweep, sweep_table
from src.experiments.tracking import tag_command, tag_experiment, write_wandb_offline
