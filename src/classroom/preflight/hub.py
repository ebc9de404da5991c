"""The profile's model: in the cache, on the hub, readable or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from src.classroom.preflight.lines import GIB, Line, judge, problem
from src.profiles import Profile
from src.qlora.registry import model_shape, model_spec


def download_gib(profile: Profile) -> float:
    """Size of the hub model's 16-bit weights, in GiB."""
    return model_shape(model_spec(profile)).parameters * 2 / GIB


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it downloads, by its own environment variables."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")


def model_folder(profile: Profile) -> Path | None:
    """The profile's hub model in the cache, present or not; None for a model of this checkout."""
    spec = model_spec(profile)
    return None if spec.local else hub_cache() / f"models--{spec.source.replace('/', '--')}"


def cached_gib(profile: Profile) -> float:
    """GiB of the hub model's weights in the cache; 0 unless a snapshot holds nearly all of them."""
    snapshots = (model_folder(profile) / "snapshots").glob("*")
    sizes = [sum(file.stat().st_size for file in folder.glob("*.safetensors")) / GIB for folder in snapshots]
    best = max(sizes, default=0.0)
    return best if best >= 0.9 * download_gib(profile) else 0.0


def check_hub(profile: Profile) -> Iterator[Line]:
    spec = model_spec(profile)
    if spec.local:
        yield Line("허브", "skipped", f"{profile.name}은(는) 네트워크를 쓰지 않아 점검하지 않았습니다.")
        return
    cached = cached_gib(profile)
    told = f"{spec.source}를 처음 쓸 때 약 {download_gib(profile):.0f} GiB를 내려받습니다."
    well = f"{spec.source}가 캐시에 있습니다({cached:.1f} GiB)."
    yield judge("모델 파일", not cached, told, well, status="warning")
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if _reachable(endpoint):
        yield Line("허브", "ok", f"{endpoint}에 닿습니다.")
        yield _access(spec.source)
    else:
        yield problem("허브", f"{endpoint}에 닿지 않습니다.", status="warning" if cached else "error")


def _reachable(url: str) -> bool:
    try:
        urlopen(Request(url, method="HEAD"), timeout=4).close()
    except OSError as error:
        return isinstance(error, HTTPError)  # it answered
    return True


def _access(repo: str) -> Line:
    """May this machine read ``repo``? Exceptions are told by their kind only: a text could hold a token."""
    from huggingface_hub import auth_check, get_token
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    token = get_token()
    known = "토큰 있음" if token else "토큰 없음"
    try:
        auth_check(repo, token=token)
    except GatedRepoError:
        remedy = f"브라우저에서 {repo} 페이지의 약관에 동의하고, 터미널에서 hf auth login 을 실행해 주세요."
        return problem("모델 접근", f"{repo}을(를) 읽을 권한이 없습니다({known}).", remedy)
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else "?"
        remedy = "토큰이 만료되지 않았는지 hf auth whoami 로 확인해 주세요."
        return problem("모델 접근", f"{repo}을(를) 읽지 못했습니다(HTTP {code}, {known}).", remedy)
    return Line("모델 접근", "ok", f"{repo}을(를) 읽을 수 있습니다({known}).")
