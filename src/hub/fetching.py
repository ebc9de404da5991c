"""The only place that asks the hub for something to load: once, within seconds, with one Korean line for an answer."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from src.hub.cache import GB, Cached, HubItem, find, hub_cache

SECONDS = 8  # all the time that the question whether something can be had may take
# No code (*.py) and no second copy of the weights in another format; the licence comes along.
FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md", "LICEN[CS]E*", "NOTICE*"]


class HubError(ConnectionError):
    """Nothing could be had; one Korean line of ``reason`` and ``remedy``, without a token. ``reached``: the hub
    itself answered, so that what it says of one item says nothing of another."""

    def __init__(self, reason: str, remedy: str, *, reached: bool = False) -> None:
        super().__init__(f"{reason} {remedy}")
        self.reason, self.remedy, self.reached = reason, remedy, reached


def fetch(item: HubItem) -> Path:
    """The folder of the cache that holds ``item``, downloaded where it is not whole.

    Raises:
        HubError: it is not in the cache and cannot be had, told within ``SECONDS`` where the hub cannot be reached.
    """
    if (found := find(item)).whole:
        return found.snapshot
    check_access(item)
    # Of the wrong size: the hub's client would take it as it is. Asked anew, as another process may have fetched it.
    for name in find(item).missing:
        path = found.snapshot / name
        if path.is_file():
            path.resolve().unlink()
            path.unlink(missing_ok=True)
    size = f"(약 {found.left / GB:.1f} GB)" if found.left else ""
    print(f"[내려받기] {item}{size}: 끊기면 다시 실행해 이어서 받을 수 있습니다.", flush=True)
    done = threading.Event()
    threading.Thread(target=_tell_progress, args=(item, found, done), daemon=True).start()
    try:
        folder = Path(_download(item))
    except Exception as error:
        raise _explained(item, error, begun=True) from None
    finally:
        done.set()
    if missing := find(item).missing:
        told = f"{item}의 저장소에 {', '.join(missing[:3])}이(가) 없습니다."
        raise HubError(told, "이름과 리비전을 확인해 주세요.", reached=True)
    return folder


def check_access(item: HubItem) -> None:
    """Ask the hub once, without retries, whether ``item`` is there and may be read.

    Raises:
        HubError: it is not, or no hub answered within ``SECONDS``.
    """
    from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    if constants.is_offline_mode():
        raise HubError(
            f"{item}이(가) 캐시({hub_cache()})에 온전히 있지 않은데, HF_HUB_OFFLINE=1이라 허브에 묻지 않았습니다.",
            "인터넷이 되면 unset HF_HUB_OFFLINE 뒤 다시 실행하고, 안 되면 강사의 캐시 폴더를 HF_HOME으로 가리키거나 tiny 프로파일로 실행해 주세요.",
        )

    def ask() -> None:
        which = {"repo_type": item.repo_type, "revision": item.revision}
        HfApi().repo_info(item.repo, **which, timeout=SECONDS)
        try:  # of a gated repository everybody may read the facts, but not a file
            get_hf_file_metadata(hf_hub_url(item.repo, "README.md", **which), timeout=SECONDS)
        except EntryNotFoundError:
            pass

    try:
        with _silent():
            _within(SECONDS, ask)
    except Exception as error:
        raise _explained(item, error) from None


def _download(item: HubItem) -> str:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import tqdm

    rows = item.kind == "dataset"
    with _silent():
        return snapshot_download(
            item.repo,
            repo_type=item.repo_type,
            revision=item.revision,
            cache_dir=hub_cache(),
            allow_patterns=None if rows else FILES,
            ignore_patterns=["*.py"],
            tqdm_class=_without_bars(tqdm),
        )


def _without_bars(bars: type) -> type:
    """Progress is told in Korean lines, in a terminal and in a notebook alike."""
    return type(
        "NoBar", (bars,), {"__init__": lambda self, *a, **k: bars.__init__(self, *a, **k | {"disable": True})}
    )


def _tell_progress(item: HubItem, before: Cached, done: threading.Event) -> None:
    total = before.present + before.unfinished + before.left
    while not done.wait(30):
        now = find(item)
        whole = f" / {total / GB:.1f}" if before.left else ""
        print(f"[내려받기] {item.repo}: {(now.present + now.unfinished) / GB:.1f}{whole} GB", flush=True)


@contextmanager
def _silent() -> Iterator[None]:
    """The client's English warnings stay unsaid; what stops it is told by ``_explained``."""
    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _within(seconds: float, function: Callable[[], None]) -> None:
    """Run it; TimeoutError after ``seconds``. A name server that is silent knows no time limit of the client's."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if errors:
        raise errors[0]


def _explained(item: HubItem, error: Exception, *, begun: bool = False) -> HubError:
    """``error`` as a Korean line. Told by its kind alone: its text could hold a token or a page of HTML."""
    from huggingface_hub import constants, errors, get_token

    token = "토큰 있음" if get_token() else "토큰 없음"
    answered = partial(HubError, reached=True)
    if isinstance(error, errors.GatedRepoError):
        remedy = (
            f"브라우저에서 {item.repo} 페이지의 약관에 동의하고, 터미널에서 hf auth login 을 실행해 주세요."
        )
        return answered(f"{item}을(를) 읽을 권한이 없습니다({token}).", remedy)
    if isinstance(error, errors.RevisionNotFoundError):
        ours = "src/qlora/registry.py나 profiles.py를 고쳐 주세요."
        remedy = "커밋 해시를 확인해 주세요." if item.kind == "adapter" else ours
        return answered(f"{item}에 리비전 {item.revision}이 없습니다.", remedy)
    if isinstance(error, errors.RepositoryNotFoundError):
        remedy = "이름을 확인하고, 비공개라면 hf auth login 을 실행해 주세요."
        return answered(f"{item}이(가) 허브에 없거나 읽을 권한이 없습니다({token}).", remedy)
    if isinstance(error, errors.HfHubHTTPError):
        code = error.response.status_code if error.response is not None else "?"
        remedy = "잠시 뒤 다시 하고, 토큰이 만료되지 않았는지 hf auth whoami 로 확인해 주세요."
        return answered(f"{item}을(를) 허브가 내주지 않습니다(HTTP {code}, {token}).", remedy)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
        why = "디스크가 가득 찼습니다" if error.errno == errno.ENOSPC else "쓸 수 없는 폴더입니다"
        return answered(
            f"{item}을(를) 저장하지 못했습니다: {hub_cache()}, {why}.",
            "HF_HOME으로 다른 디스크를 가리켜 주세요.",
        )
    if isinstance(error, (ValueError, TypeError, KeyError)):
        told = f"{constants.ENDPOINT}에서 허브가 아닌 것이 답했습니다(로그인 페이지나 프록시)."
        return HubError(
            told,
            "브라우저로 네트워크에 로그인하거나 HTTPS_PROXY를 확인해 주세요. 또는 tiny 프로파일로 실행해 주세요.",
        )
    if begun:
        told = f"{item}을(를) 내려받다가 연결이 끊겼습니다({type(error).__name__})."
        return HubError(told, "같은 명령을 다시 실행하면 이어서 받습니다.")
    return HubError(
        f"{constants.ENDPOINT}에 닿지 않아 {item}을(를) 가져오지 못했습니다({type(error).__name__}).",
        "인터넷과 방화벽을 확인하거나, 강사의 캐시 폴더를 HF_HOME으로 가리키거나, tiny 프로파일로 실행해 주세요.",
    )
