"""The kernel a notebook runs in: this interpreter, this checkout, this profile, and no TCP."""

import os
import re
from pathlib import Path

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from src.profiles import ROOT, Profile

# Quiet, repeatable pages: no progress bars (they need widgets, which a saved page cannot show), no threads after a fork.
KERNEL_ENV = {
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUTF8": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


class ThisInterpreter(KernelSpecManager):
    """The kernel is the interpreter that runs this module, whatever kernels are installed on the machine."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return ipykernel's own specification, whose command begins with ``sys.executable``."""
        return KernelSpec(**get_kernel_dict())


def new_manager(folder: Path) -> AsyncKernelManager:
    """A manager that has not started its kernel; connection file and sockets lie in ``folder``.

    Unix sockets, so that it works with every network interface down, the loopback too. Windows has TCP only.
    """
    place = {"connection_file": str(folder / "k.json")}
    if os.name == "posix":
        place |= {"transport": "ipc", "ip": str(folder / "k")}
    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisInterpreter(), **place)


def environment() -> dict[str, str]:
    """What every process starts with, unless the user has set it: ``configs/environment.mk``."""
    text = (ROOT / "configs" / "environment.mk").read_text(encoding="utf-8")
    return dict(re.findall(r"^export (\w+) \?= (\S+)$", text, flags=re.MULTILINE))


def kernel_env(profile: Profile) -> dict[str, str]:
    """The kernel's whole environment."""
    env = {**environment(), **os.environ, **KERNEL_ENV, "WORKSHOP_PROFILE": profile.name}
    env["WORKSHOP_OUTPUTS"] = str(profile.output_dir.resolve().parent)  # the kernel runs in another folder
    env["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), env.get("PYTHONPATH")])
    )  # this checkout's src
    env.pop("MPLBACKEND", None)  # the kernel draws into the page
    return env
