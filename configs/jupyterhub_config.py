"""The day from one server: ``jupyterhub -f configs/jupyterhub_config.py``, run by root. docs/serving.md says how.

Every learner is a Unix account of the server. All share this checkout's ``.venv`` and one model folder, which only root
can write; each works in an own copy of the workshop in a home folder that nobody else can open. Read from the environment:

WORKSHOP_LEARNERS     file with one account name a line (required)
WORKSHOP_PROFILE      the profile of all learners; tiny if unset
HF_HUB_CACHE          the model folder, filled beforehand; none if unset
CUDA_VISIBLE_DEVICES  the GPUs that learners see; none if unset
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = CHECKOUT / "outputs" / "hub"  # the hub's database and cookie secret, which JupyterHub makes itself

# A folder that a learner owns is written by a process of that learner alone: a link planted there leads root nowhere.
# The rename comes last, so that a copy which broke off is made again; a complete one is never touched.
COPY = """
set -e
umask 077
chmod 700 "$HOME"
mkdir -p "$HOME/.tmp"
[ ! -e "$2" ] || exit 0
rm -rf "$2.part" "$2.bundle"
cat > "$2.bundle"
git -c advice.detachedHead=false clone -q "$2.bundle" "$2.part"
rm "$2.bundle"
git -C "$2.part" remote remove origin
[ ! -d "$1" ] || cp -R "$1/." "$2.part/"
mv "$2.part" "$2"
"""


def learners(path: str | os.PathLike[str]) -> set[str]:
    """The account names in ``path``, one a line; a file from Windows (BOM, CRLF) is fine.

    Raises:
        SystemExit: the file is not named, cannot be read or holds no name.
    """
    try:
        names = set(Path(path).read_text(encoding="utf-8-sig").split())
    except OSError as error:
        raise SystemExit(
            "WORKSHOP_LEARNERS에 수강생의 계정 이름을 한 줄에 하나씩 적은 파일을 정해 주세요. "
            f"지금 값: '{path}' ({error.strerror})"
        ) from None
    if not names:
        raise SystemExit(f"'{path}'에 이름이 없습니다. 계정 이름을 한 줄에 하나씩 적어 주세요.")
    return names


def own_copy(name: str) -> Path:
    """Where learner ``name`` works."""
    return Path(pwd.getpwnam(name).pw_dir) / "qlora-workshop"


def give_copy(name: str) -> None:
    """Close the learner's home to others and, at the first start, put the committed workshop into it.

    A git bundle rather than a clone of the checkout: git refuses a repository that another account owns. Where
    ``make learner`` has been run, its notebooks without solutions take the place of the committed ones.

    Raises:
        KeyError: no such account.
        RuntimeError: git, the disk or the home folder failed; the message says what they said.
    """
    account, target = pwd.getpwnam(name), own_copy(name)
    bundle = b""
    if not target.exists():
        command = ["git", "-c", f"safe.directory={CHECKOUT}", "bundle", "create", "-q", "-", "HEAD"]
        bundle = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=True).stdout
    as_learner: dict[str, Any] = {}
    if os.geteuid() == 0:
        groups = os.getgrouplist(name, account.pw_gid)
        as_learner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    edition = CHECKOUT / "outputs" / "editions" / "learner"
    done = subprocess.run(
        ["sh", "-c", COPY, "sh", str(edition), str(target)],
        input=bundle,
        capture_output=True,
        cwd="/",  # root's own folder may be closed to the learner
        env={"HOME": account.pw_dir, "PATH": os.environ["PATH"]},
        **as_learner,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip())


async def before_start(spawner: Any) -> None:
    """JupyterHub's ``pre_spawn_hook``; in a thread, so that thirty copies do not hold up the hub."""
    try:
        await asyncio.to_thread(give_copy, spawner.user.name)
    except Exception as error:
        spawner.log.exception("no copy of the workshop for %s", spawner.user.name)
        # The one attribute that the hub shows to whoever waits for the server.
        error.jupyterhub_message = "워크숍을 홈 폴더에 복사하지 못했습니다. 강사에게 알려 주세요."
        raise


c = get_config()  # noqa: F821  (JupyterHub provides it)

STATE.mkdir(parents=True, exist_ok=True)
STATE.chmod(0o700)
c.JupyterHub.db_url = f"sqlite:///{STATE / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(STATE / "jupyterhub_cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(STATE / "jupyterhub-proxy.pid")

# Passwords must not travel in the clear: on the loopback until an HTTPS proxy or --JupyterHub.ssl_cert stands before it.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"

# The server's own accounts and passwords (PAM). Who is not on the list does not get in, whatever the password.
c.JupyterHub.authenticator_class = "pam"
c.Authenticator.allowed_users = learners(os.environ.get("WORKSHOP_LEARNERS", ""))

c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"
# Beside this interpreter: the server's JupyterLab and packages, whatever PATH holds.
c.Spawner.cmd = [str(Path(sys.executable).parent / "jupyterhub-singleuser")]
c.Spawner.notebook_dir = "~/qlora-workshop"
c.Spawner.default_url = "/lab"
c.Spawner.pre_spawn_hook = before_start
c.Spawner.args = [
    # TCP ports on the loopback are within reach of every account; sockets in a closed home are not.
    "--KernelManager.transport=ipc",
    # Seconds. A kernel without an open tab gives its memory back; lunch does not cost anybody the variables.
    "--MappingKernelManager.cull_idle_timeout=7200",
]
# A class arrives within one minute: not all at once, and with patience.
c.JupyterHub.concurrent_spawn_limit = 10
c.Spawner.start_timeout = c.Spawner.http_timeout = 180

settings = (Path(__file__).parent / "environment.mk").read_text(encoding="utf-8")
c.Spawner.environment = {
    **dict(re.findall(r"^export (\w+) \?= (\S+)$", settings, flags=re.MULTILINE)),
    # The copy's own src comes before the installed one, and with it data/ and outputs/: what runs is what the learner
    # sees and may edit, and nothing looks for the server's checkout to write to.
    "PYTHONPATH": lambda spawner: str(own_copy(spawner.user.name)),
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    # torch loads compiled code from a folder in /tmp that bears the learner's name, and that anybody could make first.
    "TMPDIR": lambda spawner: str(own_copy(spawner.user.name).parent / ".tmp"),
    "PYTHONUTF8": "1",
    "WORKSHOP_PROFILE": os.environ.get("WORKSHOP_PROFILE", "tiny"),
    # Thirty learners, not thirty times all cores; the tiny models are too small for a second thread to pay.
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Even tiny would take hundreds of megabytes of the card for each kernel.
    "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
}
if os.environ.get("HF_HUB_CACHE"):
    # Offline, because the hub's library writes locks and references into a cache that it may download to.
    c.Spawner.environment |= {"HF_HUB_CACHE": os.environ["HF_HUB_CACHE"], "HF_HUB_OFFLINE": "1"}
