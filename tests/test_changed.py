from __future__ import annotations

from tests.changed import select_tests


def test_a_changed_test_runs_itself() -> None:
    assert select_tests(["tests/audit/test_merkle.py", "README.md"]) == {
        "tests/audit/test_merkle.py"
    }


def test_a_changed_module_runs_the_tests_of_its_name_or_of_its_package() -> None:
    assert select_tests(["coe/audit/merkle.py"]) == {"tests/audit/test_merkle.py"}
    assert select_tests(["coe/audit/models.py"]) == {"tests/audit"}
    assert select_tests(["coe/json_types.py"]) == {"tests/test_json_types.py"}
    assert select_tests(["coe/identifiers.py"]) == set()


def test_what_takes_minutes_is_left_to_make_test() -> None:
    assert select_tests(["coe/engines/inline.py", "tests/e2e/test_story.py"]) == set()
