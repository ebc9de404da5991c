"""The training as a script, for one process or several.

python -m src.train                 the profile of WORKSHOP_PROFILE, from notebook 02's records
python -m src.train --resume        go on from the last complete checkpoint
accelerate launch -m src.train      on as many GPUs as there are (docs/multi_gpu.md)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.training.labels import LabelAuditError

if TYPE_CHECKING:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Notebook 03 without its prose: train on the clean records, save the adapter and its card."""
    import argparse

    from accelerate import PartialState

    from src import pipeline
    from src.profiles import active_profile
    from src.qlora.fitting import OutOfMemory

    parser = argparse.ArgumentParser(
        prog="python -m src.train", description="프로파일대로 어댑터를 학습합니다."
    )
    parser.add_argument(
        "--resume", action="store_true", help="마지막으로 온전히 저장된 체크포인트에서 이어서 합니다"
    )
    resume = parser.parse_args(arguments).resume
    profile = active_profile()
    state = PartialState()
    with state.main_process_first():  # one process makes what is missing, the others read it
        records = pipeline.load_clean_records(profile)
    try:
        log = pipeline.train_adapter(profile, records, resume=resume)
    except (LabelAuditError, OutOfMemory) as error:
        print(error)
        return 1
    finally:
        state.destroy_process_group()
    if state.is_main_process:
        print(f"{log['steps']}스텝, 가장 낮은 검증 손실 {log['best_eval_loss']:.4f}")
        print(f"어댑터: {pipeline.adapter_dir(profile)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
