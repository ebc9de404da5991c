"""The JupyterHub configuration: what can be seen without a hub, and two learners on a real one where there is one.

The real one needs root, jupyterhub beside this Python, configurable-http-proxy on PATH and leave to make two accounts
(they are removed again), from a checkout that other accounts can read:
``sudo WORKSHOP_HUB_TEST=1 .venv/bin/python -m pytest -s tests/classroom/test_jupyterhub.py``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import pwd
import re
import runpy
import secrets
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from traitlets.config import Config

from src.classroom.run import NOTEBOOKS as MAIN_NOTEBOOKS
from src.profiles import ROOT

CONFIG = "configs/jupyterhub_config.py"
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
git = ["git", "-c", "user.name=강사", "-c", "user.email=teacher@example.com"]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A committed checkout with the real configuration, a list of learners and one learner's empty home."""
    checkout, home, names = tmp_path / "srv", tmp_path / "home", tmp_path / "learners.txt"
    for name in (CONFIG, "configs/environment.mk", "src/__init__.py", "src/profiles.py", ".gitignore"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    (checkout / "main-practice").mkdir()
    (checkout / "main-practice" / "00.ipynb").write_text("정답 있음", encoding="utf-8")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "workshop"]):
        subprocess.run([*git, *command], cwd=checkout, check=True)
    (checkout / "src" / "draft.py").write_text("# not committed", encoding="utf-8")
    home.mkdir(mode=0o755)
    names.write_bytes("\ufeffhaneul\r\nbada\r\n".encode())
    account = SimpleNamespace(pw_dir=str(home), pw_uid=os.getuid(), pw_gid=os.getgid())
    monkeypatch.setattr(pwd, "getpwnam", lambda name: account)
    for name in ("HF_HUB_CACHE", "WORKSHOP_PROFILE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORKSHOP_LEARNERS", str(names))
    return SimpleNamespace(checkout=checkout, home=home, copy=home / "qlora-workshop", names=names)


def load(server) -> SimpleNamespace:
    """The configuration as JupyterHub would run it."""
    config = Config()
    made = runpy.run_path(str(server.checkout / CONFIG), init_globals={"get_config": lambda: config})
    return SimpleNamespace(**made)


def tree(folder: Path) -> dict[str, bytes | int]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else path.stat().st_mode
        for path in sorted(folder.rglob("*"))
    }


def learner_env(config: SimpleNamespace) -> dict[str, str]:
    spawner = SimpleNamespace(user=SimpleNamespace(name="haneul"))
    return {k: v(spawner) if callable(v) else v for k, v in config.c.Spawner.environment.items()}


def test_who_may_come_in_and_where_they_work(server):
    c = load(server).c
    assert c.Authenticator.allowed_users == {"haneul", "bada"}  # a file from Windows: BOM and CRLF
    assert c.JupyterHub.bind_url.startswith("http://127.0.0.1:")
    assert c.Spawner.notebook_dir == "~/qlora-workshop"
    assert Path(c.Spawner.cmd[0]).parent == Path(sys.executable).parent
    state = server.checkout / "outputs" / "hub"
    assert state.stat().st_mode & 0o777 == 0o700
    kept = (c.JupyterHub.db_url, c.JupyterHub.cookie_secret_file, c.ConfigurableHTTPProxy.pid_file)
    assert all(str(state) in place for place in kept)


@pytest.mark.parametrize("content", [None, "", "\n \n"])
def test_no_list_of_learners_no_hub(server, content):
    server.names.unlink() if content is None else server.names.write_text(content)
    with pytest.raises(SystemExit, match="계정 이름을 한 줄에 하나씩"):
        load(server)


def test_the_environment_of_a_learner(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    env = learner_env(load(server))
    assert env["WORKSHOP_PROFILE"] == "tiny" and env["CUDA_VISIBLE_DEVICES"] == ""
    assert env["GOMP_SPINCOUNT"] == "1000"
    assert env["OMP_NUM_THREADS"] == "1" and "HF_HUB_CACHE" not in env and "HF_HUB_OFFLINE" not in env
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert not any("hf_secret" in value for value in env.values())
    monkeypatch.setenv("HF_HUB_CACHE", "/srv/models")
    monkeypatch.setenv("WORKSHOP_PROFILE", "rtx4090")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    env = learner_env(load(server))
    assert (env["HF_HUB_CACHE"], env["HF_HUB_OFFLINE"]) == ("/srv/models", "1")
    assert (env["WORKSHOP_PROFILE"], env["CUDA_VISIBLE_DEVICES"]) == ("rtx4090", "0")


def test_the_first_start_gives_a_copy_of_what_is_committed(server):
    config = load(server)
    before = tree(server.checkout)
    config.give_copy("haneul")
    assert tree(server.checkout) == before
    assert sorted(path.name for path in server.home.iterdir()) == [".tmp", "qlora-workshop"]
    assert server.home.stat().st_mode & 0o777 == 0o700
    assert all(not p.stat().st_mode & 0o077 for p in server.copy.rglob("*"))
    assert (server.copy / "main-practice" / "00.ipynb").read_text(encoding="utf-8") == "정답 있음"
    assert not (server.copy / "src" / "draft.py").exists() and not (server.copy / "outputs").exists()
    assert not subprocess.check_output(["git", "status", "--porcelain"], cwd=server.copy)


def test_a_later_start_touches_nothing_and_closes_the_home_again(server):
    config = load(server)
    config.give_copy("haneul")
    (server.copy / "main-practice" / "00.ipynb").write_text("내 답", encoding="utf-8")
    server.home.chmod(0o755)
    before = tree(server.copy)
    config.give_copy("haneul")
    assert tree(server.copy) == before and server.home.stat().st_mode & 0o777 == 0o700


def test_a_copy_that_broke_off_is_made_again(server):
    (server.home / "qlora-workshop.part" / "src").mkdir(parents=True)
    load(server).give_copy("haneul")
    assert (server.copy / "src" / "profiles.py").is_file()
    assert sorted(path.name for path in server.home.iterdir()) == [".tmp", "qlora-workshop"]


def test_the_learner_edition_goes_before_the_committed_notebooks(server):
    edition = server.checkout / "outputs" / "editions" / "learner" / "main-practice"
    edition.mkdir(parents=True)
    (edition / "00.ipynb").write_text("정답 없음", encoding="utf-8")
    load(server).give_copy("haneul")
    assert (server.copy / "main-practice" / "00.ipynb").read_text(encoding="utf-8") == "정답 없음"


def test_what_fails_is_told_to_learner_and_instructor(server):
    server.home.rmdir()
    told = []
    spawner = SimpleNamespace(
        user=SimpleNamespace(name="haneul"), log=SimpleNamespace(exception=lambda *args: told.append(args))
    )
    with pytest.raises(RuntimeError, match=str(server.home)) as caught:
        asyncio.run(load(server).before_start(spawner))
    assert "강사에게" in caught.value.jupyterhub_message and told


def test_a_learner_imports_and_writes_the_own_copy(server):
    config = load(server)
    config.give_copy("haneul")
    code = """import tempfile
from src.profiles import CHOICE_FILE, ROOT, active_profile
print(ROOT, tempfile.gettempdir(), CHOICE_FILE, active_profile().artifacts_dir, sep="\\n")"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=server.copy / "main-practice",
        env={"HOME": str(server.home), **learner_env(config)},
        capture_output=True,
        text=True,
        check=True,
    )
    root, temporary, *written = map(Path, ran.stdout.splitlines())
    assert temporary == server.home / ".tmp"  # not /tmp, where another learner could lay something ready
    assert root == server.copy.resolve()  # although src is installed in editable mode from this checkout
    assert written and all(path.is_relative_to(server.copy.resolve()) for path in written)


def test_the_page_says_what_the_configuration_does(server):
    c, text = load(server).c, (ROOT / CONFIG).read_text(encoding="utf-8")
    read = set(re.findall(r'environ(?:\.get)?[(\[]"(\w+)"', text)) - {"PATH"}
    named = set(
        re.findall(
            r"`(\w+)`", re.search(r"<!-- settings: begin -->(.*?)<!-- settings: end -->", PAGE, re.S)[1]
        )
    )
    assert read == named
    (idle,) = re.findall(r"cull_idle_timeout=(\d+)", " ".join(c.Spawner.args))
    assert f"{int(idle) // 3600}시간 동안" in PAGE
    assert c.JupyterHub.bind_url in PAGE and Path(c.Spawner.notebook_dir).name in PAGE


def test_what_thirty_need_is_what_one_was_measured_to_need():
    part = re.search(r"<!-- room: begin -->(.*?)<!-- room: end -->", PAGE, re.S)[1].replace(",", "")
    rows = re.findall(r"^\| `(.+?)` \| (\d+) \| (\d+) \|", part, re.M)
    assert [name for name, *_ in rows] == [path.stem for path in MAIN_NOTEBOOKS]
    seconds, memory = ({name: int(row[n]) for name, *row in rows} for n in (0, 1))
    training = next(name for name in seconds if name.startswith("03"))
    server, everything = (
        int(number.replace(",", ""))
        for number in re.search(r"서버는 ([\d,]+)MiB, .*? 때 ([\d,]+)MiB", PAGE).groups()
    )
    assert f"04를 함께 실행 | 메모리 {30 * (server + max(memory.values())) / 1024:.0f}GiB" in PAGE
    assert max(memory, key=memory.get).startswith("04")
    assert f"모두 켜 둠 | 메모리 {30 * everything / 1024:.0f}GiB" in PAGE
    for cores in (16, 8):
        assert f"코어 {cores}개 | 약 {30 * seconds[training] / cores / 60:.0f}분" in PAGE
    assert f"혼자면 약 {seconds[training] / 60:.0f}분" in PAGE


# --- Two learners on a real hub ----------------------------------------------------------------------------------

NOTEBOOK = "prerequisites/00.01-prerequisites.ipynb"
# What notebook 01 leaves, in the learner's own folder.
RECORDS = "from src.pipeline import build_records; build_records(profile);"
URL = "http://127.0.0.1:8000"


def open_to_others(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


MISSING = [
    what
    for what, there in {
        "WORKSHOP_HUB_TEST=1": os.environ.get("WORKSHOP_HUB_TEST") == "1",
        "root": os.geteuid() == 0,
        "jupyterhub": importlib.util.find_spec("jupyterhub"),
        "configurable-http-proxy": shutil.which("configurable-http-proxy"),
        "a checkout that other accounts can read": open_to_others(ROOT / "src"),
        "a Python that other accounts can run": open_to_others(Path(sys.executable)),
    }.items()
    if not there
]

# What a curious learner tries in a cell; the answer is what got through.
PROBE = """
import json, os, pathlib, urllib.request, src.profiles
got = []
def attempt(name, action):
    try:
        action()
        got.append(name)
    except (PermissionError, urllib.error.HTTPError):
        pass
other, checkout = pathlib.Path({other!r}), pathlib.Path({checkout!r})
attempt("list the other's home", lambda: list(other.iterdir()))
attempt("read the other's record", lambda: (other / "qlora-workshop/outputs/progress.jsonl").read_text())
attempt("write into the other's home", lambda: (other / "note").write_text(""))
attempt("open the other's server", lambda: urllib.request.urlopen({url!r}))
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if os.stat("/proc/" + pid).st_uid != os.getuid():
            attempt("read the environment of " + pid, lambda: open("/proc/" + pid + "/environ").read(1))
    except (FileNotFoundError, ProcessLookupError):
        pass
for place in (".", "src", "data", "outputs", "outputs/hub", ".venv/bin"):
    attempt("write into the server's " + place, lambda: (checkout / place / "note").write_text(""))
attempt("read the hub's secrets", lambda: list((checkout / "outputs/hub").iterdir()))
attempt("write into the models", lambda: pathlib.Path(os.environ["HF_HUB_CACHE"], "note").write_text(""))
model = pathlib.Path(os.environ["HF_HUB_CACHE"], "model.txt").read_text()
print(json.dumps({{"uid": os.getuid(), "src": str(src.profiles.ROOT), "got": got, "model": model}}))
"""


class Learner:
    """What a browser does for one learner: log in, start the server, run cells over the websocket."""

    def __init__(self, name: str, password: str) -> None:
        import requests

        session = requests.Session()
        session.get(f"{URL}/hub/login")
        form = {"username": name, "password": password, "_xsrf": session.cookies.get("_xsrf", path="/hub/")}
        page = session.post(f"{URL}/hub/login", data=form, allow_redirects=False)
        assert page.status_code == 302, page.status_code
        xsrf = session.cookies.get("_xsrf", path="/hub/")
        made = session.post(f"{URL}/hub/api/users/{name}/tokens?_xsrf={xsrf}", json={})
        made.raise_for_status()
        self.name, self.api = name, f"{URL}/user/{name}/api"
        self.headers = {"Authorization": f"token {made.json()['token']}"}
        self.http = requests.Session()
        self.http.headers.update(self.headers)

    def start(self) -> None:
        self.http.post(f"{URL}/hub/api/users/{self.name}/server").raise_for_status()
        for _ in range(180):
            if self.http.get(f"{URL}/hub/api/users/{self.name}").json()["servers"].get("", {}).get("ready"):
                return
            time.sleep(1)
        raise TimeoutError(self.name)

    def run(self, path: str, *extra: str) -> str:
        """Runs every code cell of the notebook and ``extra``; returns what the last printed."""
        import websocket

        notebook = self.http.get(f"{self.api}/contents/{path}").json()["content"]
        sources = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert sources, path
        made = self.http.post(f"{self.api}/kernels", json={"name": "python3", "path": path})
        made.raise_for_status()
        channel = f"{self.api}/kernels/{made.json()['id']}/channels".replace("http:", "ws:")
        ws = websocket.create_connection(channel, header=self.headers, timeout=300)
        for source in [*sources, *extra]:
            printed = self._execute(ws, source)
        ws.close()
        return printed

    def _execute(self, ws, source: str) -> str:
        sent, printed, waiting = secrets.token_hex(8), "", {"execute_reply", "idle"}
        header = {
            "msg_id": sent,
            "msg_type": "execute_request",
            "session": sent,
            "username": "",
            "version": "5.3",
        }
        content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": False, "stop_on_error": True}
        message = {
            "channel": "shell",
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
        }
        ws.send(json.dumps(message))
        while waiting:
            message = json.loads(ws.recv())
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            assert kind != "error", f"{self.name}: {source[:200]}\n{content['ename']}: {content['evalue']}"
            waiting -= {kind, content.get("execution_state")}
            printed += content["text"] if kind == "stream" and content["name"] == "stdout" else ""
        return printed

    def memory(self) -> float:
        """MiB of all this account's processes, what they share counted in parts (PSS)."""
        uid, total = pwd.getpwnam(self.name).pw_uid, 0
        for rollup in Path("/proc").glob("[0-9]*/smaps_rollup"):
            if rollup.parent.stat().st_uid == uid:
                total += int(re.search(r"^Pss: +(\d+) kB", rollup.read_text(), re.M)[1])
        return total / 1024


@pytest.fixture
def accounts():
    """New accounts with passwords, gone again afterwards: two learners and one who is none."""
    made = {f"ws-{name}-{secrets.token_hex(2)}": secrets.token_hex(8) for name in ("haneul", "bada", "guest")}
    try:
        for name, password in made.items():
            subprocess.run(["useradd", "-m", "-s", "/bin/bash", name], check=True)
            subprocess.run(["chpasswd"], input=f"{name}:{password}\n", text=True, check=True)
        yield made
    finally:
        for name in made:
            subprocess.run(["userdel", "-r", name], capture_output=True)


@pytest.fixture
def hub(accounts, tmp_path_factory):
    """The hub with the committed configuration, on the loopback."""
    place = Path("/var/tmp") / f"ws-{secrets.token_hex(4)}"  # pytest's own folders are closed to learners
    place.mkdir(mode=0o755)
    (place / "model.txt").write_text("weights")
    (place / "learners.txt").write_text("\n".join(list(accounts)[:2]))
    env = {**os.environ, "WORKSHOP_LEARNERS": str(place / "learners.txt"), "HF_HUB_CACHE": str(place)}
    log = (tmp_path_factory.mktemp("hub") / "hub.log").open("w+")
    command = [sys.executable, "-m", "jupyterhub", "-f", str(ROOT / CONFIG)]
    process = subprocess.Popen(command, cwd="/", env=env, stdout=log, stderr=log)
    try:
        import requests

        for _ in range(180):  # a busy machine takes its time
            try:
                if requests.get(f"{URL}/hub/health").ok:
                    break
            except requests.ConnectionError:
                assert process.poll() is None, Path(log.name).read_text()
            time.sleep(1)
        else:
            pytest.fail(Path(log.name).read_text())
        yield log
    finally:
        process.send_signal(signal.SIGINT)  # the hub stops the proxy and the learners' servers
        process.wait(timeout=60)
        shutil.rmtree(place)


@pytest.mark.skipif(bool(MISSING), reason=f"no hub here: {', '.join(MISSING)}")
def test_two_learners_at_once(hub, accounts):
    import requests

    def day(name: str) -> list[dict]:
        learner = Learner(name, accounts[name])
        learner.start()
        (other,) = set(learners) - {name}
        probe = PROBE.format(
            other=pwd.getpwnam(other).pw_dir, checkout=str(ROOT), url=f"{URL}/user/{other}/api/contents"
        )
        found = [json.loads(learner.run(NOTEBOOK, RECORDS, probe))]
        theirs = learner.http.get(f"{URL}/user/{other}/api/contents")  # with a token, but not the other's
        found.append({"status": theirs.status_code, "memory": learner.memory()})
        return found

    *learners, guest = accounts
    for name, password in ((learners[0], "wrong"), (guest, accounts[guest])):  # guest is not on the list
        with pytest.raises(AssertionError, match="403"):
            Learner(name, password)
    before, started = written(ROOT), time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(learners, pool.map(day, learners), strict=True))
    seconds = time.monotonic() - started
    for name, (probe, last) in results.items():
        account = pwd.getpwnam(name)
        home = Path(account.pw_dir)
        expected = {
            "uid": account.pw_uid,
            "src": str(home / "qlora-workshop"),
            "got": [],
            "model": "weights",
        }
        assert probe == expected
        assert last["status"] in (403, 404)
        assert home.stat().st_mode & 0o777 == 0o700
        assert not [path for path in Path("/tmp").iterdir() if path.lstat().st_uid == account.pw_uid]
        artifacts = home / "qlora-workshop" / "outputs" / "tiny" / "artifacts"
        assert list(artifacts.iterdir()) and {p.stat().st_uid for p in artifacts.iterdir()} == {
            account.pw_uid
        }
        print(f"{name}: {last['memory']:.0f} MiB (PSS)")
    print(f"both learners: {seconds:.0f} s")
    assert written(ROOT) == before
    assert requests.get(f"{URL}/hub/health").ok


def written(checkout: Path) -> dict[Path, int]:
    """Every file of the checkout but the hub's own, with the time of its last change."""
    hub = checkout / "outputs" / "hub"
    return {
        path: path.stat().st_mtime_ns
        for path in checkout.rglob("*")
        if path.is_file()
        and ".venv" not in path.parts
        and not path.is_relative_to(hub)
        and "__pycache__" not in path.parts
    }
