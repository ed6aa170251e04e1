"""The bearer check."""

import pytest

from supervisor.http.auth import check_authorization
from supervisor.http.errors import Unauthorized

KEY = "s3cret key"


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER {KEY}"])
def test_the_key_is_accepted_whatever_the_case_of_the_scheme(header: str) -> None:
    """The scheme is compared without case, the token is the whole rest and may hold spaces."""
    check_authorization(header, KEY)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic czNjcmV0", KEY, f" Bearer {KEY}", f"Bearer\t{KEY}", "Bearer clé"]
)
def test_a_malformed_header_is_told_apart(header: str | None) -> None:
    """No header, another scheme, no space, no token and a token outside ASCII are one and the same fault."""
    with pytest.raises(Unauthorized, match=r"^missing or malformed Authorization header$"):
        check_authorization(header, KEY)


@pytest.mark.parametrize(
    "token", ["wrong", KEY.upper(), KEY[:-1], KEY + "x", f" {KEY}", f"{KEY} ", f"{KEY}, Bearer {KEY}"]
)
def test_a_wrong_key_is_refused(token: str) -> None:
    """Nothing but the exact key passes; the token is not trimmed."""
    with pytest.raises(Unauthorized, match=r"^invalid API key$"):
        check_authorization(f"Bearer {token}", KEY)


def test_a_key_outside_ascii_can_be_configured_and_never_matches() -> None:
    """Such a key locks the daemon instead of breaking the comparison."""
    with pytest.raises(Unauthorized):
        check_authorization("Bearer cle", "clé")
