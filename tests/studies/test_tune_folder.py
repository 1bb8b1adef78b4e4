"""Where a model goes, and what an interrupted run left beside it."""

import pytest

from cotune.exceptions import InputError
from cotune.studies.tuning._folder import TuneFolder


@pytest.mark.parametrize("key", [b"\xfc\xc2 no text", b"of another run\n"])
def test_what_another_run_left_is_not_taken_up(tmp_path, key):
    folder = TuneFolder(tmp_path / "model", "the key")
    beside = tmp_path / "model.unfinished"
    (beside / "state").mkdir(parents=True)
    (beside / "run.txt").write_bytes(key)
    with pytest.raises(InputError, match=r"model\.unfinished"):
        folder.finished()
    (beside / "run.txt").write_bytes(b"the key\n")
    assert folder.finished() is None
