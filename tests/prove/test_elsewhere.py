"""Files that are made beside the folder that was given: those that were open for writing, as long as they are there."""

import os
import tempfile
from pathlib import Path

from holdfast.prove.acts.vanishing.elsewhere import Elsewhere


def test_what_is_open_for_writing_counts_until_it_is_removed():
    found = Elsewhere([])
    with tempfile.NamedTemporaryFile(dir="/var/tmp", delete=False) as file:
        found.look([os.getpid()])
    assert found.left() >= 1
    before = found.left()
    Path(file.name).unlink()
    assert found.left() == before - 1


def test_what_is_read_without_a_name_or_in_a_folder_of_its_own_does_not(tmp_path):
    found = Elsewhere([tmp_path])
    found.look([os.getpid()])
    before = found.left()
    (tmp_path / "own").write_text("")
    with tempfile.NamedTemporaryFile(dir="/var/tmp", delete=False) as made:
        pass
    with tempfile.TemporaryFile(dir="/var/tmp"), (tmp_path / "own").open("w"), Path(made.name).open():
        found.look([os.getpid(), 1 << 22])
    assert found.left() == before
    Path(made.name).unlink()
