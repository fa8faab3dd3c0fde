"""What the documents say that needs no root, done by the user nobody beside sandboxes that are up."""

from __future__ import annotations

import pytest

from tests.lab import Lab, nsctl_argv

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def used(lab: Lab) -> Lab:
    if lab.run([*NOBODY, *nsctl_argv("--version")]).returncode != 0:
        pytest.skip("the interpreter that runs the tests is root's alone")
    lab.nsctl("up", "none", check=True)
    return lab


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("modes",), ("modes", "bridge"), ("schema", "lab")])
def test_what_only_informs_needs_no_root(used: Lab, words: tuple[str, ...]) -> None:
    done = used.run([*NOBODY, *nsctl_argv(*words)])
    assert (done.returncode, done.stderr) == (0, "")


def test_a_dry_run_needs_no_root_beside_sandboxes_that_are_up(used: Lab) -> None:
    used.write("/run/lab.toml", '[sandbox.other]\nmode = "none"\n', 0o644)
    for words in (("up", "none", "--name", "other"), ("apply", "/run/lab.toml")):
        done = used.run([*NOBODY, *nsctl_argv(*words, "--dry-run")])
        assert done.returncode == 0, done.stderr
        assert "ip netns add other" in done.stdout
