"""What the report of the function classes shows: Figs. 3, 4 and 7 of AdaGroup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.findings.grouping import MatrixRows


@dataclass(frozen=True, kw_only=True)
class GroupsRow(Brief):
    """What an algorithm made of the affinity.

    Parameters
    ----------
    algorithm : str
        Its name.
    matrix : str
        What it was given, in words.
    labels : tuple of int
        The group of every class, first seed.
    agreements : tuple of float
        Adjusted Rand index with the types, by seed.
    """

    algorithm: str
    matrix: str
    labels: tuple[int, ...]
    agreements: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class LawsSection(Brief):
    """One set of laws.

    Parameters
    ----------
    title : str
        What the laws are.
    verdict : str
        One sentence: are the types recovered, and is it learning in context.
    tasks, families : tuple of str
        The classes and their types.
    affinity : MatrixRows
        Eq. 6 on negated losses, first seed (Fig. 3, left).
    rows : tuple of GroupsRow
        The groups (Fig. 3, right).
    first_position : tuple of GroupsRow
        Groups made from the loss before any example.
    eigenvectors : sequence of (float, float)
        By class, its entries in the eigenvectors of the second and third largest eigenvalue (Fig. 7).
    by_position : mapping of str to sequence of float
        By type, the mean squared error from 0, 1, ... examples, in company.
    """

    title: str
    verdict: str
    tasks: tuple[str, ...]
    families: tuple[str, ...]
    affinity: MatrixRows
    rows: tuple[GroupsRow, ...]
    first_position: tuple[GroupsRow, ...]
    eigenvectors: Sequence[tuple[float, float]]
    by_position: Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class FunctionsFindings(Brief):
    """Everything the report shows.

    Parameters
    ----------
    title, date : str
        Of the page.
    seeds : int
        Seeds behind every mean.
    laws : tuple of LawsSection
        A section for every set of laws.
    curves : mapping of (str, str) to sequence of sequence of float
        Fig. 4: by target type and the type trained with it (itself: alone), for every seed the test error
        from 0, 1, ... examples.
    facts : sequence of (str, str)
        Provenance: name and value of each.
    """

    title: str
    date: str
    seeds: int
    laws: tuple[LawsSection, ...]
    curves: Mapping[tuple[str, str], Sequence[Sequence[float]]]
    facts: Sequence[tuple[str, str]] = ()
