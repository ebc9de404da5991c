"""The learner's log: ``check`` adds a line an attempt: when, who, which exercise, right or not; never the answer.

The file stays on the learner's machine until it is handed in; ``board.py`` makes the class's page of such files.
"""

import getpass
import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from src.data.files import append_jsonl
from src.profiles import outputs_dir

RIGHT, HINT = "right", "hint"


def log_file() -> Path:
    """Where this machine's attempts are written."""
    return outputs_dir() / "progress.jsonl"


def set_learner(name: str) -> None:
    """Remember the name that stands in the log (notebook 00.01); ``WORKSHOP_LEARNER`` goes before it."""
    if not name.strip():
        raise ValueError("이름이 비어 있습니다. 보드에 보일 이름이나 별명을 적어 주세요.")
    path = outputs_dir() / "learner.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"learner": name.strip()}, ensure_ascii=False), encoding="utf-8")


def learner() -> str:
    """``WORKSHOP_LEARNER``, else the name that ``set_learner`` kept, else the account's."""
    name = "이름 없음"
    with suppress(KeyError, OSError, ImportError):
        name = getpass.getuser()
    with suppress(OSError, ValueError, KeyError, TypeError):
        name = json.loads((outputs_dir() / "learner.json").read_text(encoding="utf-8"))["learner"]
    return os.environ.get("WORKSHOP_LEARNER") or name


def record(exercise: str, right: bool) -> None:
    """Append one attempt. A log that cannot be written never stops a notebook."""
    row = {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "learner": learner(),
        "exercise": exercise,
        "result": RIGHT if right else HINT,
    }
    with suppress(OSError):
        append_jsonl(log_file(), [row])
