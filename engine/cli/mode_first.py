"""
Where the mode stands among the words of `up` and `run`: options may come before it.

Only a mode's own options tell which of the words before it are values (`--name host bridge` is of mode bridge).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

__all__ = ["mode_first"]


def mode_first(
    words: Sequence[str],
    options_of: Callable[[str], Mapping[str, bool] | None],
    options_of_any: Callable[[], Mapping[str, bool]],
) -> list[str]:
    """
    The words with the mode in front: the first one with which all that stands before it are options and values.

    Where there is no such word, the one that was most likely meant, so that it is what the mode's command complains
    of; without any the words stay as they are.

    Args:
        words: The words after `up` or `run`, without what follows `--`.
        options_of: The options of a mode: flag → whether a value follows it; None where there is no mode of that name.
        options_of_any: The same of all modes together.
    """
    free = [at for at in range(len(words)) if not words[at].startswith("-")]
    modes = {at: options for at in free if (options := options_of(words[at])) is not None}
    for at, options in modes.items():
        if _are_options(words[:at], options):
            return _moved(words, at)
    takes_value = options_of_any()
    values = {at for at in free if at and takes_value.get(words[at - 1])}
    for at in [*modes, *free]:
        if at not in values:
            return _moved(words, at)
    return list(words)


def _are_options(words: Sequence[str], takes_value: Mapping[str, bool]) -> bool:
    rest = iter(words)
    for word in rest:
        flag, given, _ = word.partition("=")
        if flag not in takes_value:
            return False
        if takes_value[flag] and not given and next(rest, None) is None:
            return False
    return True


def _moved(words: Sequence[str], at: int) -> list[str]:
    return [words[at], *words[:at], *words[at + 1 :]]
