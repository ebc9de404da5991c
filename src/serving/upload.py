"""An adapter for other people: the upload first shows what it would send."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.qlora.registry import MODELS, licence_line

SENT = re.compile(r".+\.(safetensors|json|jinja|model|txt)|README\.md|LICEN[CS]E(\..+)?|NOTICE(\..+)?", re.I)
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")


class UploadError(RuntimeError):
    """Nothing was sent, or the hub refused; the message says what to change and never holds a token."""


def upload_adapter(
    folder: str | Path, repo_id: str, *, private: bool = True, confirm: bool = False
) -> dict[str, Any]:
    """Show what would go to ``repo_id`` on the Hugging Face Hub; send it only with ``confirm=True``.

    The token is the hub's own (``hf auth login`` or ``HF_TOKEN``): it is never asked for, shown or passed on in a
    message. Returns ``{"repo_id", "private", "files": {name: bytes}, "left_out": [name], "url": str | None}``.

    Raises:
        UploadError: no adapter or no card in ``folder``, a pickle or a token among its files, an EXAONE derivative
            without that name or its licence, no token, a public repository where a private one was asked for, or
            an error of the hub.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    folder = Path(folder)
    every = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    config = (
        every["adapter_config.json"].read_text(encoding="utf-8") if "adapter_config.json" in every else "{}"
    )
    base = str(json.loads(config).get("base_model_name_or_path"))
    _refuse_unfit(folder, repo_id, base, every)
    files = {name: p.stat().st_size for name, p in every.items() if SENT.fullmatch(name) and "/" not in name}
    left_out = [name for name in every if name not in files]
    plan = {"repo_id": repo_id, "private": private, "files": files, "left_out": left_out, "url": None}
    token = get_token()
    print(
        f"올릴 곳: {repo_id} ({'비공개' if private else '공개: 누구나 내려받을 수 있습니다'})",
        f"올릴 파일 {len(files)}개, {sum(files.values()) / 2**20:.2f} MiB",
        *(f"  {name}  {size:,} 바이트" for name, size in files.items()),
        f"빼는 파일: {', '.join(left_out) or '없음'}",
        _licence_note(base),
        f"허브 로그인: {'되어 있습니다' if token else '되어 있지 않습니다'}",
        sep="\n",
    )
    if not confirm:
        print("아직 올리지 않았습니다. 위의 내용이 맞으면 confirm=True를 더해 다시 불러 주세요.")
        return plan
    if not token:
        raise UploadError(
            "허브에 로그인되어 있지 않아 올리지 않았습니다. 터미널에서 hf auth login을 실행한 뒤 다시 해 주세요. "
            "토큰을 노트북에 적지는 마세요."
        )
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        # A repository that was there before stays as it was.
        exposed = private and not api.repo_info(repo_id).private
        if not exposed:
            sent = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=every[name]) for name in files]
            plan["url"] = api.create_commit(repo_id, sent, commit_message="Upload adapter").commit_url
    except Exception as error:
        # The hub's answer may quote the request, and a chained traceback would show it.
        text = TOKEN.sub("***", str(error).replace(token, "***"))
        raise UploadError(
            f"허브가 올리기를 받아 주지 않았습니다. 저장소 이름과 쓰기 권한을 확인해 주세요. "
            f"({type(error).__name__}: {text})"
        ) from None
    if exposed:
        raise UploadError(
            f"{repo_id}은 이미 있는 공개 저장소라 올리지 않았습니다. 다른 이름을 쓰거나, 공개해도 되면 private=False로 불러 주세요."
        )
    print(f"올렸습니다: {plan['url']}")
    return plan


def _refuse_unfit(folder: Path, repo_id: str, base: str, every: Mapping[str, Path]) -> None:
    card = every["README.md"].read_text(encoding="utf-8") if "README.md" in every else ""
    missing = {"adapter_config.json", "adapter_model.safetensors"} - every.keys()
    pickles = [name for name, path in every.items() if path.suffix.lower() in PICKLES]
    sent = {name: path for name, path in every.items() if SENT.fullmatch(name)}
    leaking = [name for name, path in sent.items() if TOKEN.search(path.read_text("utf-8", "ignore"))]
    exaone, (*owner, name) = "exaone" in base.lower(), repo_id.split("/")
    example = "/".join([*owner, f"EXAONE-{name}"])
    reasons = {
        f"{folder.name} 폴더에 {', '.join(sorted(missing))}이 없습니다. pipeline.save_training이 남긴 "
        "어댑터 폴더인지 확인해 주세요.": missing,
        "모델 카드(README.md)가 없거나 맨 앞에 메타데이터가 없습니다. 무엇으로 만들었는지 모르는 어댑터는 올리지 "
        "않습니다.": not card.startswith("---\n"),
        f"{', '.join(pickles)}은 불러올 때 코드를 실행할 수 있는 형식(pickle)입니다. 지우고 다시 해 주세요. "
        "가중치는 safetensors면 충분합니다.": pickles,
        f"{', '.join(leaking)}에 허브 토큰처럼 보이는 글이 있습니다. 지우고 그 토큰은 폐기해 주세요.": leaking,
        f"EXAONE에서 나온 모델의 이름은 EXAONE으로 시작해야 합니다. 예: {example}": exaone
        and not name.startswith("EXAONE"),
        "EXAONE의 라이선스는 사본이 가중치를 따라다니기를 요구합니다. 모델과 함께 받은 LICENSE가 어댑터 폴더에 없습니다. "
        f"터미널에서 받아 주세요: hf download {base} LICENSE --local-dir {folder}": exaone
        and not any(file.upper().startswith("LICENSE") for file in every),
    }
    for reason, found in reasons.items():
        if found:
            raise UploadError(reason)


def _licence_note(base: str) -> str:
    """What the base's licence asks of whoever uploads, in Korean."""
    spec = next((spec for spec in MODELS.values() if base in (spec.source, spec.location)), None)
    if spec is None:
        return f"[라이선스] 베이스 모델 {base}은 목록에 없습니다. 올려도 되는지 직접 확인해 주세요."
    warning = (
        " 이 베이스 모델은 허브에 없어, 받은 사람은 이 저장소가 있어야 쓸 수 있습니다." if spec.local else ""
    )
    return licence_line(spec) + warning
