"""On what, and with what, a run was made."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.settings import Settings

PACKAGES: Final = ("aiohttp", "httptools", "msgspec", "pymongo", "secantusdb", "uvloop")
PROGRAMS: Final = {"redis-server": ("--version",), "cc": ("--version",)}


def machine() -> dict[str, str]:
    """Hardware and system, and how busy others kept it."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if os.cpu_count() is None else os.cpu_count()),
        "memory": f"{pages / 2**30:.0f} GiB",
        "system": f"{_distribution()}, Linux {platform.release()}",
        "load average at the end": f"{os.getloadavg()[0]:.1f}",
    }


def versions(settings: Settings) -> dict[str, str]:
    found = {"Python": _told([str(settings.sidecar_python), "--version"])}
    found["hits"] = _how_hits_are_answered(settings)
    found |= {name: importlib.metadata.version(name) for name in PACKAGES}
    found |= {
        name: _told([name, *options]) for name, options in PROGRAMS.items() if shutil.which(name)
    }
    return found


def _how_hits_are_answered(settings: Settings) -> str:
    question = "from moorline_sidecar.hot import IS_COMPILED; print(IS_COMPILED)"
    asked = [str(settings.sidecar_python), "-c", question]
    told = subprocess.run(asked, capture_output=True, check=True, text=True).stdout.strip()
    return {"True": "by compiled code", "False": "by Python"}[told]


def _processor() -> str:
    told = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return told[1] if told else platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _told(command: list[str]) -> str:
    """The version in what a program says about itself."""
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    version = re.search(r"\d+\.\d+[.\d]*", done.stdout + done.stderr)
    return version[0] if version else "unknown"
