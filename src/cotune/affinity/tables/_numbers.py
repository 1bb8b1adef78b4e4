"""Numbers as people write them: decimal commas, thousands, percent signs, means with their errors."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cotune.exceptions import SettingError

Decimal = Literal["point", "comma"]

MISSING = frozenset(
    re.split(
        " ",
        "na n/a nan null none nil missing - -- --- \N{EN DASH} \N{EM DASH} . ? #n/a #na #n/a! #div/0! "
        "#value! #ref! #num! <na> n.a. nd",
    )
) | {"", "#n/a n/a"}
"""What stands where there is no score, in small letters."""

_BODY = r"(?:\d[\d.,]*|[.,]\d+)(?:[eE][+-]?\d+)?"
_NUMBER = re.compile(rf"([+-]?)({_BODY})(\s*%)?$")
_INFINITE = re.compile(r"[+-]?inf(inity)?$", re.IGNORECASE)
_WITH_ERROR = re.compile(r"(.+?)\s*(?:±|\+/-|\+-|\\pm)\s*(.+)$")
_IN_BRACKETS = re.compile(rf"([+-]?{_BODY}\s*%?)\s*\(({_BODY}\s*%?)\)$")
_APART = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE} '\N{RIGHT SINGLE QUOTATION MARK}"
_SPACES = re.compile(rf"(?<=\d)[{_APART}](?=\d{{3}}(?!\d))")


@dataclass(frozen=True, slots=True)
class Number:
    """A cell that was read.

    Parameters
    ----------
    value : float
        NaN where the cell says that there is none.
    error : float
        What stood behind a plus-minus sign, or NaN.
    percent : bool
        Whether it had a percent sign; the value is then a hundredth of what was written.
    """

    value: float
    error: float = math.nan
    percent: bool = False


_NONE = Number(math.nan)


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no score."""
    return cell.strip().lower() in MISSING


def looks_numeric(cell: str) -> bool:
    """Whether a cell is a number in some way of writing, or an infinity."""
    value, _ = _parted(cell)
    return bool(_NUMBER.match(value) or _INFINITE.match(value))


def tells_point(text: str) -> bool:
    """Whether a plain number has a point that can only part decimals."""
    return "." in text and _vote(re.split("[eE]", text.lstrip("+-"))[0]) == "point"


def read_number(cell: str, decimal: Decimal) -> Number | None:
    """Read a cell; None if it is no number, NaN if it stands for none."""
    if is_missing(cell):
        return _NONE
    value, error = _parted(cell)
    number = _plain(value, decimal)
    if number is None:
        return None
    beside = _plain(error, decimal) if error else _NONE
    if beside is None:
        return None
    # 70.3 ± 1.2 % has one sign for both
    percent = number.percent or beside.percent
    share = 0.01 if percent else 1.0
    return Number(
        number.value * (1.0 if number.percent else share),
        beside.value * (1.0 if beside.percent else share),
        percent,
    )


def decimal_of(cells: Iterable[tuple[int, str]], path: str) -> Decimal:
    """Tell whether a comma or a point parts the decimals of a table's cells.

    Parameters
    ----------
    cells : iterable of (int, str)
        Lines and cells of the columns of numbers.
    path : str
        Of the table, for errors.

    Raises
    ------
    SettingError
        If the cells say both, or commas could be either.
    """
    said: dict[Decimal, tuple[int, str]] = {}
    open_case: tuple[int, str] | None = None
    for line, cell in cells:
        for part in _parted(cell):
            found = _NUMBER.match(part)
            if found is None:
                continue
            vote = _vote(re.split("[eE]", found[2])[0])
            if vote == "either":
                open_case = open_case or (line, part)
            elif vote is not None:
                said.setdefault(vote, (line, part))
    if len(said) == 2:
        (a, first), (b, second) = said["point"], said["comma"]
        raise SettingError(
            f"{path}: {first} in line {a} has a decimal point and {second} in line {b} a decimal comma; "
            "write all alike."
        )
    if not said and open_case is not None:
        line, cell = open_case
        raise SettingError(
            f"{path}, line {line}: {cell} may be {cell.replace(',', '')} or {cell.replace(',', '.')}; "
            "say which with {decimal} or {other}.",
            decimal=("decimal", "comma"),
            other=("decimal", "point"),
        )
    return next(iter(said), "point")


def _vote(text: str) -> Decimal | Literal["either"] | None:
    """Tell what a number says of the decimal sign; a point before three digits says nothing."""
    points, commas = text.count("."), text.count(",")
    if points and commas:
        return "comma" if text.rfind(",") > text.rfind(".") else "point"
    if commas > 1:
        return "point"
    if points > 1:
        return "comma"
    if commas:
        whole, _, decimals = text.partition(",")
        return "either" if len(decimals) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0" else "comma"
    if points:
        whole, _, decimals = text.partition(".")
        return None if len(decimals) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0" else "point"
    return None


def _parted(cell: str) -> tuple[str, str]:
    """Return a cell without what surrounds its number, and what stands behind a plus-minus sign."""
    text = cell.strip().strip("*$").strip().replace("\N{MINUS SIGN}", "-")
    text = _SPACES.sub("", text)
    found = _WITH_ERROR.match(text) or _IN_BRACKETS.match(text)
    return (found[1].strip(), found[2].strip()) if found else (text, "")


def _plain(text: str, decimal: Decimal) -> Number | None:
    if _INFINITE.match(text):
        return Number(math.inf if text[0] != "-" else -math.inf)
    found = _NUMBER.match(text)
    if found is None:
        return None
    mark, thousands = (",", ".") if decimal == "comma" else (".", ",")
    mantissa, *exponent = re.split("[eE]", found[2])
    whole, _, decimals = mantissa.partition(mark)
    if thousands in whole:
        if not re.fullmatch(rf"\d{{1,3}}(?:\{thousands}\d{{3}})+", whole):
            return None
        whole = whole.replace(thousands, "")
    if not (whole + decimals).isdigit():
        return None
    value = float(f"{found[1]}{whole or 0}.{decimals or 0}" + (f"e{exponent[0]}" if exponent else ""))
    return Number(value / 100.0, percent=True) if found[3] else Number(value)
