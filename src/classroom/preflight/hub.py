"""What the profile takes from the hub: whole in the cache, or to be had."""

from __future__ import annotations

from collections.abc import Iterator

from src.classroom.preflight.lines import Line, problem
from src.hub.cache import GB, Cached, HubItem, find
from src.hub.fetching import HubError, check_access
from src.profiles import Profile
from src.qlora.registry import hub_items

CHECKS = {  # kind -> (is it whole here, would the hub give it)
    "model": ("모델 파일", "모델 접근"),
    "embedder": ("임베더 파일", "임베더 접근"),
    "dataset": ("데이터 파일", "데이터 접근"),
}


def missing_gb(profile: Profile) -> float:
    """GB that the profile's downloads still need on the cache's disk."""
    return sum(find(item).left for item in hub_items(profile)) / GB


def check_hub(profile: Profile) -> Iterator[Line]:
    """A line an item, and of what is not whole in the cache whether the hub would give it. A hub that does not answer
    is asked once."""
    items = hub_items(profile)
    if not items:
        yield Line("허브", "skipped", f"{profile.name}은(는) 네트워크를 쓰지 않아 점검하지 않았습니다.")
        return
    found = [(item, find(item)) for item in items]
    yield from (_file_line(item, cached) for item, cached in found)
    wanted = [item for item, cached in found if not cached.whole]
    if not wanted:
        yield Line("허브", "skipped", "모두 캐시에 있어 허브에 묻지 않습니다.")
    for item in wanted:
        check = CHECKS[item.kind][1]
        try:
            check_access(item)
        except HubError as error:
            yield problem(check if error.reached else "허브", error.reason, error.remedy)
            if not error.reached:
                return
        else:
            yield Line(check, "ok", f"{item.repo}을(를) 읽을 수 있습니다.")


def _file_line(item: HubItem, cached: Cached) -> Line:
    check = CHECKS[item.kind][0]
    if cached.whole:
        return Line(check, "ok", f"{item.repo}이(가) 캐시에 있습니다({cached.present / GB:.1f} GB).")
    size = f"약 {cached.left / GB:.1f} GB" if cached.left else "크기는 내려받을 때 알 수 있습니다"
    told = f"{item.repo}을(를) 처음 쓸 때 내려받습니다({size})."
    if cached.present or cached.unfinished:
        names = f"빠진 파일: {', '.join(cached.missing[:3])}, " if cached.missing else ""
        told = f"{item.repo}의 내려받기가 끝나지 않았습니다({names}남은 것: {size})."
    return problem(check, told, status="warning")
