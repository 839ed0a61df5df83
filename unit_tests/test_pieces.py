"""JSON in pieces: most of it in a file where it is much."""

import tempfile

import pytest

from source_stripe.sync.pieces import MOST_IN_MEMORY, NoRoomError, Pieces


def made_of(*texts: bytes, most: int = MOST_IN_MEMORY) -> Pieces:
    made = Pieces(most)
    for text in texts:
        made.add(text)
    return made


def test_few_pieces_stay_in_memory() -> None:
    made = made_of(b"one", b"two")
    assert (list(made), made.held, made.is_large) == ([b"one", b"two"], 6, False)


def test_many_pieces_lie_in_a_file_and_come_in_their_order_as_often_as_asked() -> None:
    made = made_of(b"one", b"two", b"three", b"4", most=6)
    assert (list(made), made.held, made.is_large) == ([b"one", b"two", b"three", b"4"], 6, True)
    assert list(made) == [b"one", b"two", b"three", b"4"]


def test_without_a_temporary_directory_pieces_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: object) -> object:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    assert list(made_of(b"one", b"two", most=3)) == [b"one", b"two"]


def test_a_disk_that_is_full_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_of(b"one", b"two", most=3)

    def fail(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", fail)
    with pytest.raises(NoRoomError, match="No space left on device"):
        made.add(b"three")
