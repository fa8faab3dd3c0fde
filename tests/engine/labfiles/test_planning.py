from __future__ import annotations

from nsctl.engine.labfiles.planning import Reserved


def test_what_is_chosen_is_claimed_wherever_it_will_be_until_it_is_released() -> None:
    chosen = {"10.0.3.9": "web", "10.0.3.8": "db"}
    there = {"address/nsbr0": {"10.0.3.2": "old", "10.0.3.8": "older"}, "mac/nsbr0": {"02:00:00:00:00:01": "old"}}
    claims = Reserved(there, "address", chosen)
    assert dict(claims["address/nsbr0"]) == {"10.0.3.2": "old", "10.0.3.9": "web", "10.0.3.8": "older"}
    assert claims.get("address/nsbr1") == chosen, "which network it will be is not known yet"
    assert claims.get("mac/nsbr0") == there["mac/nsbr0"]
    assert (list(claims), len(claims), claims.get("mac/nsbr1")) == (list(there), 2, None)
    del chosen["10.0.3.9"]
    assert "10.0.3.9" not in claims["address/nsbr0"]
