from __future__ import annotations

from nsctl.engine.labfiles.planning import Reserved


def test_reserved_addresses_are_taken_until_they_are_released() -> None:
    chosen = {"10.0.3.9": "web", "10.0.3.8": "db"}
    taken = Reserved({"10.0.3.2": "old"}, chosen)
    assert dict(taken) == {"10.0.3.2": "old", "10.0.3.9": "web", "10.0.3.8": "db"}
    assert len(taken) == 3
    del chosen["10.0.3.9"]
    assert "10.0.3.9" not in taken
    assert (len(taken), list(taken), taken.get("10.0.3.8")) == (2, ["10.0.3.2", "10.0.3.8"], "db")
