from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import nsctl
from nsctl.engine.cli.commands import COMMANDS
from nsctl.engine.cli.foreign_words import ALWAYS_SO, OPTIONS, PREFIXES, about_command, about_option
from nsctl.engine.cli.foreign_words import COMMANDS as FOREIGN
from tests.cli.conftest import Nsctl
from tests.docs.generated import modes, options_of

DOCKER = """
attach build builder commit compose container cp create diff events export history image images import info
kill load login logout network pause port ps pull push rename restart rm rmi save search start stats stop swarm
system tag top unpause update volume wait
""".split()
NETWORK = [f"network {word}" for word in "connect create disconnect inspect ls prune rm".split()]
PODMAN = "generate init kube manifest pod".split()
IP_NETNS = "add del delete identify list monitor pids set".split()
ANSWERS = [*FOREIGN.values(), *OPTIONS.values()]
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
NO_COMMANDS = {"--help", "COMMAND", "is"}
"""What may follow the program's name in a sentence that is about it."""


def commands_in(text: str) -> Iterator[list[str]]:
    """The commands of nsctl's in a line, as words; what stands behind `--` is somebody else's."""
    for found in re.finditer(r"(?<![\w/.-])(?<!killed )(?<!another )(?<!what )nsctl ([^;:,()|]+)", text):
        yield found[1].split(" -- ")[0].split()


def unknown_in(text: str) -> list[str]:
    """What a line names that nsctl does not have."""
    wrong = []
    for words in commands_in(text):
        rest = [word for word in words if word != "-v" or words[0] != "-v"]
        command = rest[0]
        if command in NO_COMMANDS:
            continue
        if command not in COMMANDS:
            # What goes on with an ordinary word is a sentence about nsctl.
            if len(rest) == 1 or not rest[1][0].islower():
                wrong.append(f"nsctl {command}")
            continue
        if command in {"up", "run"} and len(rest) > 1 and rest[1].islower() and rest[1].isalpha():
            wrong += [] if rest[1] in modes() or rest[1] in {"again", "with"} else [f"mode {rest[1]}"]
        known = options_of(command) | {"--help", *ALWAYS_SO.get(command, ())}
        wrong += [f"nsctl {command} {word}" for word in rest if word.startswith("-") and word not in {*known, "-"}]
    return wrong


@pytest.mark.parametrize("word", [*DOCKER, *NETWORK, *PODMAN, *IP_NETNS])
def test_a_command_of_dockers_podmans_or_ips_gets_the_right_one_or_why_not(nsctl: Nsctl, word: str) -> None:
    done = nsctl(*word.split(), "--x")
    assert done.status == 2
    assert done.refusal == f"nsctl: there is no command '{word.split(maxsplit=1)[0]}'"
    assert done.stderr.splitlines()[1] == f"hint: {about_command(word.split())}"
    assert about_command([word.split(maxsplit=1)[0]])


@pytest.mark.parametrize(
    ("word", "begins"), [("netns", "nsctl ls "), ("docker", "leave it out"), ("ip", "nsctl exec ")]
)
def test_the_name_of_another_program_alone_is_not_taken_for_a_slip_of_the_keyboard(
    nsctl: Nsctl, word: str, begins: str
) -> None:
    assert nsctl(word).stderr.splitlines()[1].startswith(f"hint: {begins}")


@pytest.mark.parametrize("answer", sorted(set(ANSWERS)))
def test_what_an_answer_names_is_there(answer: str) -> None:
    assert unknown_in(answer) == []
    assert len(answer) <= 110  # one line, beside "hint: "
    assert answer.isprintable()


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_option_that_an_answer_names_is_one_of_that_command(command: str, option: str) -> None:
    answer = OPTIONS[command, option]
    assert command in COMMANDS
    assert option not in options_of(command) or command in {"up", "run"}, "it is there now: the answer is of no use"
    own = re.sub(
        r"(?<![\w/.-])nsctl [^;:,()|]+|systemd-run [^;]+", "", answer
    )  # those of other commands are looked at above
    for named in _OPTION.findall(own):
        assert named in options_of(command) | {"--", "-v"}, answer


def test_the_test_finds_what_is_not_there() -> None:
    assert unknown_in("nsctl dwn NAME") == ["nsctl dwn"]
    assert unknown_in("see: nsctl up brigde --name x; nsctl ls --al") == ["mode brigde", "nsctl ls --al"]


@pytest.mark.parametrize("word", [*FOREIGN, *PREFIXES])
def test_no_answer_stands_for_a_command_that_there_is(word: str) -> None:
    assert word not in COMMANDS


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("ps", "nsctl ls"),
        ("ps -a", "nsctl ls"),
        ("docker ps", "nsctl ls"),
        ("container ls", "nsctl ls"),
        ("container rm web", "nsctl down NAME"),
        ("container", "container is a mode"),
        ("network ls", "nsctl networks"),
        ("network create lan", "nsctl up bridge --network NAME --subnet"),
        ("network frobnicate", "nsctl networks lists them"),
        ("netns add web", "nsctl up none --name NAME"),
        ("ip netns list", "nsctl ls"),
        ("ip netns exec web ls", "nsctl exec"),
        ("system prune", "nsctl recover"),
        ("stop web", "nsctl down NAME"),
        ("compose up", "nsctl apply FILE"),
        ("bridge", "nsctl up bridge"),
        ("none --name x", "nsctl up none"),
        ("dwn", "did you mean 'down'?"),
        ("xyzzy", "nsctl --help lists the commands"),
        ("help ps", "nsctl ls"),
    ],
)
def test_the_hint_of_a_foreign_command(nsctl: Nsctl, words: str, hint: str) -> None:
    done = nsctl(*words.split())
    assert done.status == 2
    assert done.refusal.startswith("nsctl: there is no command '")
    assert hint in done.stderr.splitlines()[1]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("up bridge -p 8080:80", "there is no option '-p'", "no ports are published"),
        ("up -p 8080:80 bridge", "there is no option '-p'", "no ports are published"),
        ("up bridge -p8080:80", "there is no option '-p'", "no ports are published"),
        ("up bridge --publish=8080:80", "there is no option '--publish'", "no ports are published"),
        ("up bridge --rm", "there is no option '--rm'", "nsctl run MODE -- CMD"),
        ("up bridge -it", "there is no option '-i'", "nsctl run MODE -- CMD"),
        ("run none -d -- true", "there is no option '-d'", "nsctl up MODE -- CMD"),
        ("up bridge -v /a:/b", "there is no option '-v'", "a sandbox sees the host's files"),
        ("up bridge -v", "there is no option '-v'", "nsctl -v up MODE"),
        ("up none --volume /a:/b", "there is no option '--volume'", "host's files"),
        ("run none --network host -- x", "there is no option '--network'", "nsctl run host"),
        ("run --network host -- x", "which mode?", "nsctl run host"),
        ("run --net=container:web -- x", "which mode?", "nsctl run container --target web"),
        ("up host --network lan", "there is no option '--network'", "bridge (with --network NAME)"),
        ("up none --hostname web", "there is no option '--hostname'", "the name is the hostname"),
        ("up bridge --link db", "there is no option '--link'", "--add-host NAME:ADDRESS"),
        ("up none --expose 80", "there is no option '--expose'", "no ports are published"),
        ("run none --entrypoint sh", "there is no option '--entrypoint'", "stands after --"),
        ("up none --restart always", "there is no option '--restart'", "NetworkNamespacePath"),
        ("up bridge --mac-address 02:00:00:00:00:01", "there is no option '--mac-address'", "--mac MAC"),
        ("up bridge --ip6 fd00::2", "there is no option '--ip6'", "networks are IPv4"),
        ("up none --cpus 1", "there is no option '--cpus'", "systemd-run"),
        ("up none -m 1g", "there is no option '-m'", "systemd-run"),
        ("up none --pid host", "there is no option '--pid'", "--isolate"),
        ("down -f web", "there is no option '-f'", "did you mean --force?"),
        ("ls -a", "there is no option '-a'", "ls shows all there are"),
        ("logs --tail 3 web", "there is no option '--tail'", "-n N"),
        ("apply -f lab.toml", "there is no option '-f'", "nsctl apply FILE"),
        ("-x up", "there is no option '-x'", "options of a command stand behind it"),
        ("--name web up none", "there is no option '--name'", "options of a command stand behind it"),
        ("up none -x", "there is no option '-x'", "see nsctl up none --help"),
        ("up bridge --subnt 10.0.0.0/24", "there is no option '--subnt'", "did you mean --subnet?"),
        ("exec web ls -l", "there is no option '-l'", "nsctl exec web -- ls -l"),
        ("exec -it web bash", "unexpected argument 'bash'", "nsctl exec -it web -- bash"),
        ("exec web ls", "unexpected argument 'ls'", "nsctl exec web -- ls"),
        ("exec -x web ls", "there is no option '-x'", "see nsctl exec --help"),
        ("run bridge ubuntu bash", "unexpected argument 'ubuntu bash'", "stands after --"),
        ("run ubuntu", "there is no mode 'ubuntu'", "the modes are: bridge, container, host, none"),
    ],
)
def test_the_hint_of_a_foreign_option(nsctl: Nsctl, words: str, message: str, hint: str) -> None:
    done = nsctl(*words.split())
    assert done.status == (125 if words.split(maxsplit=1)[0] in {"run", "exec"} else 2)
    assert done.refusal == f"nsctl: {message}"
    assert hint in done.stderr.splitlines()[1]


def test_an_option_of_one_command_is_not_answered_for_another() -> None:
    assert about_option("down", "-p") == ""
    assert about_option("up", "--no-such") == ""


@pytest.mark.parametrize(
    ("foreign", "own"),
    [
        ("version", "--version"),
        ("help", "--help"),
        ("help up bridge", "up bridge --help"),
        ("help log", "log --help"),
    ],
)
def test_help_and_version_as_words_do_what_they_say(nsctl: Nsctl, foreign: str, own: str) -> None:
    assert nsctl(*foreign.split()) == nsctl(*own.split())


@pytest.mark.parametrize(
    "words", ["run --rm -it none", "run none --rm -i -t", "run none -ti", "up -d none", "up none --detach"]
)
def test_what_is_always_so_may_be_said(nsctl: Nsctl, words: str) -> None:
    more = ["--dry-run", "--name", "x", "--", "true"]
    done = nsctl(*words.split(), *more)
    assert done.status == 0
    assert done == nsctl(words.split(maxsplit=1)[0], "none", *more)


@pytest.mark.parametrize("command", ALWAYS_SO)
def test_what_is_always_so_is_not_in_the_help(nsctl: Nsctl, command: str) -> None:
    words = [command, *(["none"] if command in {"up", "run"} else []), "--help"]
    shown = nsctl(*words).stdout
    assert [flag for flag in ALWAYS_SO[command] if re.search(rf"^ +{flag}\b", shown, re.MULTILINE)] == []


def texts() -> Iterator[tuple[str, str]]:
    """Every text in nsctl's own code that names a command of nsctl's: place, text."""
    for folder in nsctl.__path__:
        for part in ("engine", "modes", "hooks"):
            for path in sorted((Path(folder) / part).resolve().rglob("*.py")):
                tree = ast.parse(path.read_text())
                documented = {
                    id(node.body[0].value)
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
                    and node.body
                    and isinstance(node.body[0], ast.Expr)
                }
                for node in ast.walk(tree):
                    if isinstance(node, ast.JoinedStr):
                        text = "".join(str(v.value) if isinstance(v, ast.Constant) else "NAME" for v in node.values)
                    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
                        text = node.value
                    else:
                        continue
                    if re.search(r"(?:^|[:;,] |hint: |run |\()nsctl [a-z-]", text):
                        yield f"{path.name}:{node.lineno}", text


def test_every_command_that_nsctl_names_anywhere_is_there() -> None:
    found = dict(texts())
    assert len(found) > 40
    wrong = {}
    for place, text in found.items():
        named = [shlex.join(words) for words in commands_in(text)]
        unknown = [one for one in unknown_in(text) if one.startswith("nsctl ")]
        if unknown:
            wrong[place] = (unknown, named)
    assert wrong == {}
