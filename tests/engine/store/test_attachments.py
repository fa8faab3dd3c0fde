"""The attachments of a store, as who loads little reads them: with the sandboxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nsctl.engine.executor.inventory import networks
from nsctl.engine.model.attachment import Attachment
from nsctl.engine.store import Damaged, Journal, SandboxRow, Transaction
from nsctl.engine.store.sandboxes import Cable, Sandboxes
from tests.engine.store.conftest import sandbox

LAN = Attachment(
    sandbox="web",
    interface="eth0",
    mode="bridge",
    options={"network": "lan"},
    steps=("link/web",),
    addresses=("10.0.3.2/24", "fd00::2/64"),
    gateway="10.0.3.1",
    link="nsbr-lan",
    network="lan",
    mac="02:00:00:00:00:02",
    networks={"nsbr-lan": "10.0.3.1/24"},
    names={"nsbr-lan": "lan"},
)
JOINED = Attachment("web", "eth1", "bridge", {}, (), ("10.9.0.2/16",), link="br9", network="br9", joined="br9")
ALONE = Attachment("db", "eth0", "dummy", {}, ())


def sharer(name: str, target: str) -> SandboxRow:
    return SandboxRow(name, "container", {"target": target}, (), (), {}, netns=True, shares=target)


def written(state_dir: Path, *more: SandboxRow) -> None:
    journal = Journal(state_dir)
    rows = [sandbox("web"), sandbox("db"), *more]
    journal.begin(Transaction("t", "up"), rows, [], [], (), [JOINED, LAN, ALONE])
    journal.finish([row.name for row in rows])
    journal.close()


def read(state_dir: Path) -> dict[str, SandboxRow]:
    store = Sandboxes(state_dir)
    try:
        return store.sandboxes()
    finally:
        store.close()


def test_each_sandbox_comes_with_its_own_in_the_order_of_their_names(state_dir: Path) -> None:
    written(state_dir)
    rows = read(state_dir)
    lan = Cable(
        sandbox="web",
        interface="eth0",
        mode="bridge",
        options={"network": "lan"},
        networks={"nsbr-lan": "10.0.3.1/24"},
        names={"nsbr-lan": "lan"},
        addresses=("10.0.3.2/24", "fd00::2/64"),
        gateway="10.0.3.1",
        link="nsbr-lan",
        network="lan",
        mac="02:00:00:00:00:02",
    )
    joined = Cable("web", "eth1", "bridge", {}, {}, {}, ("10.9.0.2/16",), None, "br9", "br9", None, "br9")
    assert rows["web"].attachments == (lan, joined)
    assert [cable.name for cable in rows["web"].attachments] == ["web/eth0", "web/eth1"]
    assert rows["db"].attachments == (Cable("db", "eth0", "dummy", {}, {}, {}),)


def test_what_a_sandbox_has_is_what_its_attachments_have(state_dir: Path) -> None:
    written(state_dir)
    web, db = read(state_dir)["web"], read(state_dir)["db"]
    assert web.addresses == ("10.0.3.2/24", "fd00::2/64", "10.9.0.2/16")
    assert (web.gateway, web.link, web.network) == ("10.0.3.1", "nsbr-lan", "lan")
    assert (db.addresses, db.gateway, db.link, db.network) == ((), None, None, None)


def test_who_shares_a_network_has_its_owners_and_a_circle_ends(state_dir: Path) -> None:
    written(
        state_dir,
        sharer("a-probe", "b-probe"),
        sharer("b-probe", "web"),
        sharer("lost", "gone"),
        sharer("one", "two"),
        sharer("two", "one"),
    )
    rows = read(state_dir)
    assert rows["a-probe"].attachments == rows["b-probe"].attachments == rows["web"].attachments != ()
    assert [rows[name].attachments for name in ("lost", "one", "two")] == [(), (), ()]


def test_one_that_is_let_go_is_no_longer_there(state_dir: Path) -> None:
    written(state_dir)
    journal = Journal(state_dir)
    journal.removed(["web/eth0"])
    assert journal.sandboxes()["web"].addresses == ("10.9.0.2/16",)
    journal.close()
    assert read(state_dir)["web"].addresses == ("10.9.0.2/16",)


def test_a_sandbox_is_on_the_network_of_each(state_dir: Path) -> None:
    written(state_dir, sharer("probe", "web"))
    journal = Journal(state_dir)
    lan, joined = networks(journal)
    journal.close()
    assert (lan.name, lan.bridge, lan.subnets, lan.gateway, lan.joined) == (
        *("lan", "nsbr-lan", ["10.0.3.0/24"], "10.0.3.1"),
        False,
    )
    assert (joined.name, joined.subnets, joined.gateway, joined.joined) == ("br9", ["10.9.0.0/16"], None, True)
    assert lan.sandboxes == joined.sandboxes == ["probe", "web"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE attachments SET data = replace(data, '10.0.3.2', '10.0.3.9')",
        "UPDATE attachments SET name = 'db/eth9' WHERE name = 'web/eth1'",
        "UPDATE attachments SET state = 'upp'",
        "UPDATE attachments SET crc = 'x'",
        "UPDATE attachments SET data = 7",
    ],
)
def test_a_row_that_nsctl_did_not_write_is_damaged(state_dir: Path, sql: str) -> None:
    written(state_dir)
    journal = Journal(state_dir)
    with journal._db.writing() as conn:
        conn.execute(sql)
    journal.close()
    with pytest.raises(Damaged, match="attachment"):
        read(state_dir)
    journal = Journal(state_dir)
    with pytest.raises(Damaged, match="attachment"):
        journal.attachments()
    journal.close()
