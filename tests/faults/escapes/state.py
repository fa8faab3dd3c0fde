"""nsctl's own: its state, its trail, the names of namespaces, and nsctl itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.faults.escapes.attempt import attempt, failed

STATE, NAMES, TRAIL = "/run/nsctl", "/run/netns", "/var/log/nsctl"


def made(directory: str) -> None:
    os.close(os.open(f"{directory}/escaped", os.O_WRONLY | os.O_CREAT))
    os.unlink(f"{directory}/escaped")


@attempt(errors=("ENOENT",))
def list_the_state() -> list[str]:
    return os.listdir(STATE) or failed("ENOENT")


@attempt(errors=("EROFS",))
def write_to_the_state() -> None:
    made(STATE)


@attempt(errors=("ENOENT",))
def open_the_lock() -> None:
    os.close(os.open(f"{STATE}/lock", os.O_RDWR))


@attempt(errors=("ENOENT",))
def list_the_namespaces() -> list[str]:
    return os.listdir(NAMES) or failed("ENOENT")


@attempt(errors=("ENOENT",))
def open_the_namespace_of_another_sandbox() -> None:
    os.close(os.open(f"{NAMES}/base", os.O_RDONLY))


@attempt(errors=("EROFS",))
def name_a_namespace() -> None:
    made(NAMES)


@attempt(errors=("ENOENT",))
def read_the_trail() -> list[str]:
    return os.listdir(TRAIL) or failed("ENOENT")


@attempt(errors=("ENOENT",))
def append_to_the_trail() -> None:
    os.close(os.open(f"{TRAIL}/audit.jsonl", os.O_WRONLY | os.O_APPEND))


@attempt(errors=("EROFS",))
def put_a_file_beside_the_trail() -> None:
    made(TRAIL)


@attempt(errors=("ENOENT",))
def find_the_state_by_the_root_of_the_init() -> list[str]:
    return os.listdir(f"/proc/1/root{STATE}") or failed("ENOENT")


@attempt(errors=("ENOENT", "ENOTDIR"))
def find_the_state_by_what_is_bound_into_the_sandbox() -> list[str]:
    return os.listdir("/etc/hosts/..") or failed("ENOENT")


def _nsctl(**environment: str) -> None:
    argv = [sys.executable, "-I", "-m", "nsctl", "up", "none", "--name", "escaped"]
    done = subprocess.run(argv, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode in {1, 2} and done.stderr.startswith("nsctl: "):
        failed("EPERM", done.stderr)


@attempt(modes=("none",))  # a start of nsctl costs as much as all other attempts
def run_nsctl() -> None:
    _nsctl()


@attempt(modes=("none",))
def run_nsctl_with_a_state_of_its_own() -> None:
    place = f"/run/escaped-{os.getpid()}"
    try:
        _nsctl(NSCTL_STATE_DIR=place, NSCTL_AUDIT_LOG=f"{place}/log")
    finally:
        shutil.rmtree(place, ignore_errors=True)
