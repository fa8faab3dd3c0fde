"""
A stand-in for systemd's manager: labs have none, since a second one would make cgroups on the machine.

Units are enabled and disabled by the real systemctl, which can do that with files alone. Of those that are to run, the
command of the unit is started, as the unit says: with its variables, bounded capabilities, and a socket to tell that it
is ready.
"""

from __future__ import annotations

from nsctl.engine.testing.files import SHIM_DIRECTORY
from nsctl.engine.testing.lab import Lab
from tests.lab.shims import shim_directory

__all__ = ["FAILS", "LOG", "stand_in"]

_PLACE = f"{SHIM_DIRECTORY}/systemd"
LOG = f"{_PLACE}/log"
"""What systemctl was called with, one call a line."""
FAILS = f"{_PLACE}/fails"
"""The verb that fails, if there is such a file."""

_SYSTEMCTL = r"""#!/usr/bin/python3 -I
import os, re, signal, socket, subprocess, sys, time

REAL, RUN, UNITS = "/run/shim/systemd/real/systemctl", "/run/shim/systemd/units", "/etc/systemd/system"
words = sys.argv[1:]
with open("/run/shim/systemd/log", "a") as log:
    log.write(" ".join(words) + "\n")
if os.path.exists("/run/shim/systemd/fails") and open("/run/shim/systemd/fails").read().strip() == words[0]:
    sys.exit("systemctl: it fails, as it was told to")
verb, options = words[0], [w for w in words[1:] if w.startswith("--")]
units = [w for w in words[1:] if not w.startswith("--")]


def pid_of(unit):
    try:
        pid = int(open(f"{RUN}/{unit}").read())
        os.kill(pid, 0)
        state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
        return None if state == "Z" else pid
    except (OSError, ValueError):
        return None


def stop(unit):
    pid = pid_of(unit)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        while pid_of(unit) is not None:
            time.sleep(0.01)


def start(unit):
    if unit.endswith(".socket"):  # with its service, at the first connection
        place, = re.findall(r"^ListenSequentialPacket=(.*)$", open(f"{UNITS}/{unit}").read(), re.M)
        line, = re.findall(r"^ExecStart=(.*)$", open(f"{UNITS}/{unit[:-6]}service").read(), re.M)
        waiting = ["systemd-socket-activate", "--seqpacket", "-l", place, *line.split()]
        null = subprocess.DEVNULL
        process = subprocess.Popen(waiting, start_new_session=True, umask=0o177, stdin=null, stdout=null, stderr=null)
        with open(f"{RUN}/{unit}", "w") as file:
            file.write(str(process.pid))
        while not os.path.exists(place):
            time.sleep(0.01)
        return
    text = open(f"{UNITS}/{unit}").read()
    values = lambda key: re.findall(rf"^{key}=(.*)$", text, re.M)
    caps = [cap.removeprefix("CAP_").lower() for line in values("CapabilityBoundingSet") for cap in line.split()]
    bounds = ["setpriv", "--no-new-privs", "--bounding-set=-all," + ",".join(f"+{cap}" for cap in caps), "--"]
    path = f"{RUN}/{unit}.notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        if os.path.exists(path):
            os.unlink(path)
        ready.bind(path)
        ready.settimeout(30)
        env = dict(line.split("=", 1) for line in values("Environment"))
        env |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": path}
        with open(f"{RUN}/{unit}.log", "a") as log:
            process = subprocess.Popen(
                bounds + values("ExecStart")[0].split(), env=env, cwd="/", start_new_session=True, umask=0o077,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        with open(f"{RUN}/{unit}", "w") as file:
            file.write(str(process.pid))
        while True:
            ready.settimeout(0.1)
            try:
                if ready.recv(1000) == b"READY=1":
                    return
            except TimeoutError:
                if process.poll() is not None:
                    sys.exit(f"Job for {unit} failed: exit status {process.returncode}")


def command(unit, key):
    name, _, instance = unit.removesuffix(".service").partition("@")
    path = f"{UNITS}/{unit}" if not instance else f"{UNITS}/{name}@.service"
    line = re.findall(rf"^{key}=(.*)$", open(path).read(), re.M)[0].replace("%i", instance)
    subprocess.run(line.split(), check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


units = [unit if "." in unit else f"{unit}.service" for unit in units]
if verb in ("enable", "disable"):
    for unit in units:  # those of labs run to their end, and are up then
        if "--now" in options and verb == "enable":
            command(unit, "ExecStart")
            open(f"{RUN}/{unit}", "w").write("1")
        elif "--now" in options:
            command(unit, "ExecStop")
            os.unlink(f"{RUN}/{unit}")
    sys.exit(subprocess.run([REAL, "--root=/", verb, "--quiet", *units]).returncode)
elif verb == "is-enabled":
    sys.exit(subprocess.run([REAL, "--root=/", verb, "--quiet", *units]).returncode)
elif verb == "is-active":
    sys.exit(0 if all(pid_of(unit) for unit in units) else 3)
elif verb == "restart":
    stop(units[0])
    start(units[0])
elif verb == "stop":
    stop(units[0])
elif verb == "list-units":
    for unit in os.listdir(RUN):
        if pid_of(unit) and unit.startswith("nsctl-lab@"):
            print(unit, "loaded active exited")
elif verb != "daemon-reload":
    sys.exit(f"systemctl: not known here: {verb}")
"""


def stand_in(lab: Lab) -> None:
    """Have a lab host look as if systemd had booted it, with an /etc of its own, and no unit in there."""
    lab.call(shim_directory, f"{lab.token}-shim")
    lab.write(f"{_PLACE}/systemctl", _SYSTEMCTL, mode=0o755)
    script = (
        f"mkdir -p /run/systemd/system; cd {_PLACE}; mkdir etc real units; cp /usr/bin/systemctl real/;"
        " cp -a /etc/. etc; rm -rf etc/systemd/system/*; mount --bind etc /etc;"
        " mount --bind systemctl /usr/bin/systemctl"
    )
    lab.run(["sh", "-ec", script], check=True)
