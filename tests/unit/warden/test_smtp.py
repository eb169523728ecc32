"""The mail server that takes whatever it is given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.warden.smtp import MAX_LINE, Talk

MAIL = (
    b"EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
    b"DATA\r\nSubject: x\r\n\r\nQUIT\r\n.\r\nQUIT\r\n"
)
REPLIES = b"250-mail\r\n250 AUTH PLAIN\r\n250 OK\r\n250 OK\r\n354 Go ahead\r\n250 OK\r\n221 Bye\r\n"


@given(st.integers(1, len(MAIL)))
def test_a_message_is_taken_in_any_pieces(size: int):
    talk = Talk()
    replies = b"".join(talk.feed(MAIL[at : at + size]) for at in range(0, len(MAIL), size))
    assert (replies, talk.over) == (REPLIES, True)


def test_a_line_without_end_is_cut():
    talk = Talk()
    assert talk.feed(b"x" * MAX_LINE) == b"250 OK\r\n"


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_no_bytes_do_harm(pieces: list[bytes]):
    talk = Talk()
    for piece in pieces:
        assert len(talk.feed(piece)) <= 40 * (len(piece) + 1)
