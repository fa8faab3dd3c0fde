"""
Words that people bring along from docker, podman, `ip netns` and elsewhere: what they are called here, or why not.

Each answer is one line, which stands as the hint under "there is no command …" or "there is no option …".
tests/cli/test_foreign_words.py sees to it that every command and option in an answer exists.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

__all__ = ["ALWAYS_SO", "COMMANDS", "OPTIONS", "OPTION_ROWS", "PREFIXES", "about_command", "about_option"]

_IMAGES = "there are no images: a sandbox sees the host's files; nsctl run MODE -- CMD..."
_ONE_HOST = "nsctl is for one host; a lab file describes several sandboxes: nsctl apply FILE"
_LIMITS = "limits are systemd's: systemd-run --scope -p MemoryMax=1G -p CPUQuota=50% nsctl run MODE -- CMD..."
_FILES = "a sandbox sees the host's files, so there is nothing to mount"
_PORTS = "no ports are published: the host reaches a sandbox at its address (nsctl ls), others reach mode host"
_DOWN = "nsctl down NAME takes a sandbox down, with all that only it holds"
_UP = "nsctl up MODE --name NAME makes a sandbox, for example: nsctl up none --name NAME"
_ENDED = "nothing stays behind stopped: nsctl down NAME, and the same nsctl up again"
_NAMESPACES = "--isolate says which namespaces are the sandbox's own: --isolate mount,ipc,uts,net leaves out pid"
_NETWORK = "the mode says which network: none, host, bridge (with --network NAME), container (with --target NAME)"
_REGISTRY = "there are no images, and so no registry to log in to"

PREFIXES = ("container", "netns", "docker", "podman", "ip")
"""Words that may stand before another one and say nothing here: `container ls`, `ip netns add`."""

COMMANDS: Mapping[str, str] = {
    # docker and podman
    "attach": "nsctl logs -f NAME follows its output, nsctl shell NAME opens a shell in it",
    "build": _IMAGES,
    "builder": _IMAGES,
    "buildx": _IMAGES,
    "checkpoint": "a sandbox's processes can't be frozen or saved; nsctl down NAME ends them",
    "commit": _IMAGES,
    "compose": "a lab file describes several sandboxes: nsctl apply FILE; see nsctl schema lab",
    "container": "container is a mode, which shares another's network: nsctl up container --target NAME",
    "context": _ONE_HOST,
    "cp": "a sandbox sees the host's files: cp itself copies them",
    "create": "nsctl up MODE -- CMD... makes a sandbox and starts CMD in it",
    "diff": "a sandbox sees the host's files; nsctl check compares its network with how it was made",
    "events": "nsctl log -f follows what nsctl does",
    "export": _IMAGES,
    "generate": "nsctl up MODE --dry-run --format sh prints a script, --format json a plan for nsctl apply",
    "history": "nsctl log NAME shows what was done",
    "image": _IMAGES,
    "images": _IMAGES,
    "import": _IMAGES,
    "info": "nsctl doctor checks the host, nsctl ls lists the sandboxes, nsctl networks the networks",
    "init": "each sandbox has a small init of its own; nsctl up MODE makes one",
    "kill": "nsctl down NAME ends it; to send a signal: nsctl exec NAME -- pkill -HUP PROGRAM",
    "kube": _ONE_HOST,
    "load": _IMAGES,
    "login": _REGISTRY,
    "logout": _REGISTRY,
    "manifest": _IMAGES,
    "network": "nsctl networks lists them; a sandbox is put on one by: nsctl up bridge --network NAME",
    "network connect": "a sandbox has one network, named when it is made: nsctl up bridge --network NAME",
    "network create": "a network comes with its first sandbox: nsctl up bridge --network NAME --subnet 10.0.3.0/24",
    "network disconnect": "a sandbox has one network, and keeps it: nsctl down NAME takes it down",
    "network inspect": "nsctl networks --json tells all of them",
    "network list": "nsctl networks",
    "network ls": "nsctl networks",
    "network prune": "a network goes with its last sandbox: there is nothing to prune",
    "network remove": "a network goes with its last sandbox: nsctl down NAME",
    "network rm": "a network goes with its last sandbox: nsctl down NAME",
    "node": _ONE_HOST,
    "pause": "a sandbox's processes can't be frozen; to stop them: nsctl exec NAME -- pkill -STOP PROGRAM",
    "pod": "sandboxes share one network by mode container: nsctl up container --target NAME",
    "port": _PORTS,
    "prune": "what is down has left nothing to prune; what a killed nsctl left goes with: nsctl recover",
    "ps": "nsctl ls",
    "pull": _IMAGES,
    "push": _IMAGES,
    "rename": "a sandbox keeps its name; to give it another, take it down: nsctl down NAME",
    "restart": _ENDED,
    "rm": _DOWN,
    "rmi": _IMAGES,
    "save": _IMAGES,
    "search": _IMAGES,
    "service": _ONE_HOST,
    "stack": _ONE_HOST,
    "start": "what is made runs at once, and what ended is made anew by the same: nsctl up MODE --name NAME -- CMD...",
    "stats": "traffic: nsctl exec NAME -- ip -s link; memory and CPU: systemd-cgtop",
    "stop": f"{_DOWN}; nothing stays behind stopped",
    "swarm": _ONE_HOST,
    "system": "nsctl doctor checks the host, nsctl check what nsctl made",
    "system prune": "what is down has left nothing to prune; what a killed nsctl left goes with: nsctl recover",
    "tag": _IMAGES,
    "top": "nsctl exec NAME -- ps -e",
    "unpause": "a sandbox's processes can't be frozen, nor thawed; nsctl exec NAME -- pkill -CONT PROGRAM",
    "update": "a sandbox keeps its options: nsctl down NAME, then nsctl up with others",
    "volume": _FILES,
    "wait": "nsctl logs -f NAME ends when its workload does",
    # ip netns, and ip
    "netns": "nsctl ls lists the sandboxes; ip netns knows them by the same names; nsctl up none --name NAME makes one",
    "ip": "nsctl exec NAME -- ip addr",
    "docker": "leave it out: nsctl ls, nsctl run MODE -- CMD..., nsctl down NAME",
    "podman": "leave it out: nsctl ls, nsctl run MODE -- CMD..., nsctl down NAME",
    "add": _UP,
    "addr": "nsctl exec NAME -- ip addr",
    "address": "nsctl exec NAME -- ip addr",
    "del": _DOWN,
    "delete": _DOWN,
    "identify": "ip netns identify PID tells it, since nsctl's names are those of ip netns; nsctl ls shows PIDs",
    "link": "nsctl exec NAME -- ip link",
    "list": "nsctl ls",
    "monitor": "nsctl log -f follows what nsctl does",
    "pids": "ip netns pids NAME tells them, since nsctl's names are those of ip netns; or nsctl exec NAME -- ps -e",
    "route": "nsctl exec NAME -- ip route",
    "set": "a sandbox keeps its options: nsctl down NAME, then nsctl up with others",
    # what else one would type
    "bash": "nsctl shell NAME",
    "clean": "what a killed nsctl left goes with: nsctl recover; all sandboxes with: nsctl down --all",
    "cleanup": "what a killed nsctl left goes with: nsctl recover; all sandboxes with: nsctl down --all",
    "destroy": _DOWN,
    "enter": "nsctl shell NAME",
    "plan": "nsctl up MODE --dry-run",
    "remove": _DOWN,
    "sh": "nsctl shell NAME",
    "show": "nsctl inspect NAME",
    "ssh": "nsctl shell NAME",
    "status": "nsctl ls shows what is up, nsctl check whether it is as it was made",
    "undo": _DOWN,
}
"""Commands, some with a second word → the answer."""

ALWAYS_SO: Mapping[str, tuple[str, ...]] = {
    "run": ("--rm", "-i", "-t", "--interactive", "--tty"),
    "exec": ("-i", "-t", "--interactive", "--tty"),
    "shell": ("-i", "-t", "--interactive", "--tty"),
    "up": ("-d", "--detach"),
}
"""Command → switches that say what is so with or without them: they are taken, and change nothing."""

_MAKING = ("up", "run")
_INSIDE = ("exec", "shell")
OPTION_ROWS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (_MAKING, "-p --publish -P --publish-all --expose", _PORTS),
    (("up",), "--rm", "what up makes stays; nsctl run MODE -- CMD... takes it down when CMD ends"),
    (
        ("up",),
        "-i -t --interactive --tty",
        "CMD starts in the background; nsctl run MODE -- CMD... has your terminal",
    ),
    (("run",), "-d --detach", "run stays in the foreground; nsctl up MODE -- CMD... starts CMD in the background"),
    (_INSIDE, "-d --detach", "CMD runs in the foreground; as a workload: nsctl up container --target NAME -- CMD..."),
    (_MAKING, "-v", "a sandbox sees the host's files, so there are no volumes; to see every step: nsctl -v up MODE"),
    (_MAKING, "--volume --mount --volumes-from --tmpfs --read-only", _FILES),
    (_MAKING, "--network --net", _NETWORK),
    (_MAKING, "--network-alias --net-alias", "a sandbox is known by its name: --name"),
    (_MAKING, "--hostname", "the name is the hostname, too: --name"),
    (_MAKING, "--link", "sandboxes on one network reach each other; --add-host NAME:ADDRESS gives one a name"),
    (_MAKING, "--entrypoint", "there is no image that would have one: the command stands after --"),
    (
        _MAKING,
        "--restart",
        "what ends stays ended; systemd restarts what has NetworkNamespacePath=/run/netns/NAME",
    ),
    (_MAKING, "--mac-address", "in mode bridge: --mac MAC"),
    (_MAKING, "--ip6 --ipv6", "networks are IPv4: --ip, in mode bridge"),
    (_MAKING, "--env-file", "--env NAME=VALUE, or --env NAME for the value that it has here"),
    (_MAKING, "--pid --ipc --uts --userns --cgroupns", _NAMESPACES),
    (_MAKING, "--cpus --cpu-shares --cpuset-cpus -m --memory --memory-swap --pids-limit --ulimit", _LIMITS),
    (_MAKING, "--init", "each sandbox has an init already"),
    (_MAKING, "-l --label", "there are no labels; --name tells sandboxes apart"),
    (
        _MAKING,
        "--security-opt",
        "nothing gains privileges in a sandbox; see --cap-add, --cap-drop and --privileged",
    ),
    (_MAKING, "--gpus --device", "--privileged lets CMD use the host's devices, and change the host"),
    (_MAKING, "--pull --platform", _IMAGES),
    (_INSIDE, "--privileged", "what runs inside has what the sandbox was made with: nsctl up MODE --privileged"),
    (("ls",), "-a --all", "ls shows all there are, those that have ended too"),
    (("ls",), "--filter --format --no-trunc -n -l", "--json is for programs; -q shows only the names"),
    (("down",), "-f", "did you mean --force?"),
    (("down",), "-t --time --timeout", "processes are ended at once; --step-timeout says how long a step may take"),
    (("down",), "-v --volumes", _FILES),
    (("logs",), "--tail", "the last lines: -n N"),
    (("logs",), "-t --timestamps --since --until", "the output is kept as it was written, without times"),
    (("log",), "--tail", "the last records: -n N"),
    (("apply",), "-f --file", "the file stands alone: nsctl apply FILE"),
    (("apply",), "-d --detach", "apply returns when all is up"),
    (("inspect",), "-f --format", "inspect prints JSON, for jq: nsctl inspect NAME | jq .pid"),
)
"""Commands, options that they do not have, and the answer."""

OPTIONS: Mapping[tuple[str, str], str] = {
    (command, option): answer
    for commands, options, answer in OPTION_ROWS
    for command in commands
    for option in options.split()
}
"""A command and an option → the answer."""


def about_command(words: Sequence[str], commands: Container[str] = ()) -> str:
    """
    What there is to say of a command that nsctl does not have; nothing where that is unknown.

    Args:
        words: It, and what follows it.
        commands: Those that it has.
    """
    while len(words) > 1 and words[0] in PREFIXES and not words[1].startswith("-"):
        words = words[1:]
        if words[0] in commands:
            return f"nsctl {words[0]}"
    return COMMANDS.get(" ".join(words[:2])) or COMMANDS.get(words[0] if words else "", "")


def about_option(command: str, option: str, value: str = "") -> str:
    """
    What there is to say of an option that a command does not have; nothing where that is unknown.

    Args:
        command: The command.
        option: The option, without a value.
        value: What follows it.
    """
    if option in {"--network", "--net"} and command in _MAKING:
        kind, _, target = value.partition(":")
        if kind in {"none", "host", "bridge"}:
            return f"the mode says so: nsctl {command} {kind}"
        if kind == "container":
            return f"the mode says so: nsctl {command} container --target {target or 'NAME'}"
    return OPTIONS.get((command, option), "")
