"""A process is deaf when wake-ups wait for long beside it, and it has nothing to do."""

from worker.attention import DEAF_SECONDS, Attention

LONG = DEAF_SECONDS + 1


def test_wake_ups_that_wait_for_long_beside_an_idle_process_make_it_deaf() -> None:
    attention = Attention()

    assert not attention.is_deaf(1, 0)
    assert not attention.is_deaf(5, DEAF_SECONDS)
    assert attention.is_deaf(1, LONG)


def test_an_empty_queue_is_no_sign() -> None:
    attention = Attention()

    assert not attention.is_deaf(1, 0)
    assert not attention.is_deaf(0, LONG - 1)
    assert not attention.is_deaf(1, LONG)
    assert attention.is_deaf(1, 3 * LONG)


def test_a_job_in_hand_or_just_done_is_attention() -> None:
    attention = Attention()

    assert not attention.is_deaf(1, 0)
    attention.begin()
    assert not attention.is_deaf(1, LONG)
    attention.end()
    assert not attention.is_deaf(1, 2 * LONG)
    assert attention.is_deaf(1, 3 * LONG + 1)
