import json

import numpy as np
import pytest
from benchmark_samples import table

from cotune.benchmark.recorded import shipped_tables
from cotune.benchmark.scoring import score
from cotune.exceptions import InputError
from cotune.grouping import GROUPERS


def test_clear_families_are_recovered_in_all_57_cases():
    seen = []
    card = score([table()], progress=lambda done, total: seen.append((done, total)))
    assert card.algorithms == tuple(GROUPERS)
    assert seen == [(i, 57) for i in range(1, 58)]
    tally = card.tally()
    assert (tally.total, tally.confirmed) == (57, 57)
    assert tally.recovered["sdp"] == tally.optimal["sdp"] == 57
    assert [card.tally("planted", k).total for k in range(2, 7)] == [15, 20, 15, 6, 1]


def test_hidden_families_are_told_from_missed_ones():
    card = score([table(5, families=4, signal=0.35, noise=0.35)])
    hidden = [case for case in card.cases if not case.verification.confirmed]
    clear = [case for case in card.cases if case.verification.confirmed]
    assert hidden
    assert clear
    for case in hidden:
        assert "the families are not the optimum" in case.verification.reason
        missed = [case.why_missed(o) for o in case.outcomes if not o.recovered]
        assert set(missed) <= {case.verification.reason}
    for case in clear:
        for outcome in case.outcomes:
            assert (case.why_missed(outcome) == "") == outcome.recovered
            if not outcome.recovered:
                assert "it stops at" in case.why_missed(outcome)


def test_offsets_of_raw_losses_mislead_the_conventional_algorithms_but_not_the_sdp():
    offsets = np.array([0, 15, 30] * 3)
    loud = table(families=3, size=3, scenario="function_classes")
    loud.affinity.matrix[:] = 1.0 * (np.arange(9)[:, None] // 3 == np.arange(9) // 3) + offsets[:, None]
    recovered = score([loud], matrix="raw").tally().recovered
    assert recovered["sdp"] == 1
    assert recovered["lloyd"] == 0


def test_the_shipped_function_classes_are_confirmed_and_recovered():
    functions = [one for one in shipped_tables() if one.scenario == "function_classes"]
    for matrix in ("prepared", "raw"):
        tally = score(functions, ["sdp"], matrix=matrix).tally()
        assert (tally.total, tally.confirmed, tally.recovered["sdp"]) == (1, 1, 1)


def test_the_sdp_recovers_all_shipped_cases_of_real_tasks_that_are_confirmed():
    real = [one for one in shipped_tables() if one.scenario == "multitask"]
    card = score(real)
    tally = card.tally()
    assert (tally.total, tally.confirmed) == (57, 34)
    for case in card.cases:
        assert case.verification.method == "exact"
        sdp = next(outcome for outcome in case.outcomes if outcome.algorithm == "sdp")
        assert sdp.recovered or not case.verification.confirmed, case.name
    assert tally.recovered["sdp"] > tally.recovered["spectral"] > tally.recovered["lloyd"]


def test_shipped_templates_of_the_same_inputs_are_verified():
    shipped = [one for one in shipped_tables() if one.scenario == "multi_instruction"]
    card = score(shipped)
    assert len(shipped) == card.tally().total == 3
    assert {case.verification.method for case in card.cases} == {"exact"}
    (confirmed,) = (case for case in card.cases if case.verification.confirmed)
    assert confirmed.name == "text answers + index"
    assert next(one for one in confirmed.outcomes if one.algorithm == "sdp").recovered


def test_the_card_is_plain_json():
    data = json.loads(json.dumps(score([table(families=3)], ["lloyd"]).to_dict()))
    assert data["algorithms"] == ["lloyd"]
    assert data["all"]["total"] == len(data["cases"]) == 4
    assert set(data["cases"][0]["outcomes"][0]) >= {"labels", "recovered", "agreement", "missed"}


def test_wrong_arguments():
    with pytest.raises(InputError, match=r"got 'spectrl' \(did you mean 'spectral'\?\)"):
        score([table()], ["spectrl"])
    with pytest.raises(InputError, match="no two of one name"):
        score([table(), table()])
    with pytest.raises(InputError, match="at least one table"):
        score([])
