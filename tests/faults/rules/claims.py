"""The rules of claims: what only one may have."""

from __future__ import annotations

from tests.faults.rules.rule import Rule

__all__ = ["RULES"]

_CLAIMS = "tests/engine/executor/test_claims.py"

RULES = (
    Rule(
        "a claim has one holder",
        "engine/executor/claims.py",
        "if step.key not in going and (holders := ctx.journal.holders(step.key)):",
        "if False:",
        f"{_CLAIMS}::test_a_second_holder_is_refused_before_anything_is_changed_with_the_name_of_the_first",
    ),
    Rule(
        "a claim has one holder in a transaction, too",
        "engine/executor/claims.py",
        "if first.setdefault(step.key, plan.name) != plan.name:",
        "if False:",
        f"{_CLAIMS}::test_two_of_one_transaction_cannot_claim_the_same",
    ),
    Rule(
        "a claim has one holder on a host, whatever the store",
        "engine/executor/claims.py",
        "if (held := ctx.others.get(step.key)) is not None:",
        "if (held := None) is not None:",
        f"{_CLAIMS}::test_what_is_claimed_in_another_store_is_refused_with_its_name",
    ),
    Rule(
        "modes are shown what other stores claim",
        "engine/executor/facts.py",
        "for key, holder in (*theirs, *self._journal.claims()):",
        "for key, holder in (*self._journal.claims(),):",
        "tests/system/test_join.py::test_an_address_that_a_sandbox_of_another_store_has_on_it_is_refused",
    ),
    Rule(
        "a mode that claims what is another's is refused while it plans",
        "engine/planning/planner.py",
        "    _check_claims(made, facts)\n    return made\n",
        "    return made\n",
        "tests/engine/planning/test_planner.py::test_a_mode_that_claims_what_is_anothers_is_refused",
    ),
    Rule(
        "a saved plan that claims what is another's by now is refused",
        "engine/planning/planner.py",
        "    _check_claims(made, facts, again)\n",
        "",
        "tests/system/test_apply.py::test_it_is_refused_where_its_address_was_taken_meanwhile",
    ),
    Rule(
        "who is left in part keeps what it claims",
        "engine/executor/undo.py",
        "for row, _ in result.left} | kept\n",
        "for row, _ in result.left}\n",
        f"{_CLAIMS}::test_who_is_left_in_part_keeps_what_it_claims",
    ),
)
