"""A checkpoint is complete when its manifest says so: sealed last, verified before anything is read from it.

A process can be killed at any byte of a save or of a deletion. The manifest, written in one step after everything
else, holds the size and SHA-256 of every file and the fingerprint of the run; what it does not confirm is skipped.
"""

import hashlib
import json
import os
from pathlib import Path

MANIFEST = "manifest.json"
STATE = "trainer_state.json"  # transformers' own record of step, losses and best checkpoint


def seal(folder: str | Path, run: str) -> None:
    """Write the manifest of all files now in ``folder``; ``run`` is the fingerprint of what is being trained.

    Nothing is flushed to the disk explicitly: a power cut that loses a file's bytes shows in its hash.
    """
    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(MANIFEST)
    }
    unfinished = folder / f"{MANIFEST}.part"
    unfinished.write_text(json.dumps({"run": run, "files": files}, indent=1), encoding="utf-8")
    os.replace(unfinished, folder / MANIFEST)  # there whole, or not at all


def checkpoint_problem(folder: str | Path, run: str | None = None) -> str | None:
    """Why ``folder`` must not be loaded, in Korean; None when every file is as it was sealed.

    With ``run`` given, a checkpoint of other settings or data is a problem too.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sealed, files = manifest["run"], manifest["files"]
        if run is not None and sealed != run:
            return "다른 설정이나 데이터, 라이브러리 버전으로 학습한 체크포인트입니다"
        for name, expected in files.items():
            path = folder / name
            if not path.is_file():
                return f"{name} 파일이 없습니다"
            if path.stat().st_size != expected["size"] or _sha256(path) != expected["sha256"]:
                return f"{name} 파일이 저장할 때와 다릅니다"
    except FileNotFoundError:
        return "저장이 끝나기 전에 멈췄습니다(완료 표시가 없습니다)"
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST}을 읽을 수 없습니다"
    return None if STATE in files else f"{STATE}이 없습니다"


def last_complete(output_dir: str | Path, run: str) -> tuple[Path | None, list[tuple[Path, str]]]:
    """(The newest checkpoint that can be resumed, the newer ones that cannot with their reasons).

    A checkpoint leans on the best one so far, which is loaded at the end: where that is gone, it is skipped too.
    """
    from transformers.trainer_utils import sort_checkpoints

    skipped: list[tuple[Path, str]] = []
    for folder in map(Path, reversed(sort_checkpoints(str(output_dir)))):
        reason = checkpoint_problem(folder, run)
        if reason is None:
            best = json.loads((folder / STATE).read_text(encoding="utf-8")).get("best_model_checkpoint")
            if best is None or (best_problem := checkpoint_problem(best, run)) is None:
                return folder, skipped
            reason = f"그때까지 가장 좋았던 {Path(best).name}을 쓸 수 없습니다({best_problem})"
        skipped.append((folder, reason))
    return None, skipped


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
