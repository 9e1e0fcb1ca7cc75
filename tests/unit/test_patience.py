"""Asking what may never answer."""

from threading import Event

import pytest

from fhir_ecg.service.patience import Patience


def test_answers_are_given_and_what_hangs_is_left_out() -> None:
    comes_back = Event()
    patience = Patience(0.05)

    assert patience.ask({"sound": lambda: "yes", "hanging": comes_back.wait}) == {"sound": "yes"}
    comes_back.set()


def test_a_question_that_hangs_is_not_asked_again_before_it_comes_back() -> None:
    asked: list[Event] = []
    comes_back = Event()

    def question() -> int:
        asked.append(comes_back)
        comes_back.wait()
        return len(asked)

    patience = Patience(0.01)
    assert [patience.ask({"it": question}) for _ in range(5)] == [{}] * 5
    assert len(asked) == 1
    comes_back.set()
    patient = Patience(30)
    assert patient.ask({"it": question}) == {"it": 2}


def test_what_a_question_raises_reaches_the_asker() -> None:
    def question() -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        Patience(30).ask({"it": question})
