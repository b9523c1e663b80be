"""Which telling of the story it is: kept in the folder, counted up only where one is wanted."""

from __future__ import annotations

from pathlib import Path

from coe.demo.telling import number_of_telling


def test_a_telling_is_resumed_until_a_new_one_is_wanted(tmp_path: Path) -> None:
    assert number_of_telling(tmp_path, again=False) == 1
    assert number_of_telling(tmp_path, again=False) == 1
    assert number_of_telling(tmp_path, again=True) == 2
    assert number_of_telling(tmp_path, again=False) == 2
    assert number_of_telling(tmp_path, again=True) == 3


def test_the_first_telling_is_the_first_also_if_it_is_wanted_again(tmp_path: Path) -> None:
    assert number_of_telling(tmp_path, again=True) == 1


def test_data_of_an_earlier_release_have_told_the_story_once(tmp_path: Path) -> None:
    (tmp_path / "demo.env").touch()
    assert number_of_telling(tmp_path, again=True) == 2
