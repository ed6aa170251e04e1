"""Addresses and URLs taken apart, and as people may see them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.urls import shown_headers, shown_url, split_address, split_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://h:1/a/b", "http://h:1/a/b"),
        ("http://u:p@h/a", "http://***@h/a"),
        ("https://ghp_token@h", "https://***@h"),
        ("http://u:pa/ss@h/a", "http://***@h/a"),
        ("http://u:p?a#b@h/a", "http://***@h/a"),
        ("http://u:p@ss@h", "http://***@h"),
        ("http://h/a?token=t&db=metrics", "http://h/a?token=***&db=***"),
        ("http://h/a?token", "http://h/a?***"),
        ("http://h/a?k=&x=1#frag", "http://h/a?k=&x=***"),
        ("http:/u:p@h", "http:/***@h"),
        ("u:p@h:9", "***@h:9"),
        ("//u:p@h", "//***@h"),
        ("tcp://u:p@localhost:1", "tcp://***@localhost:1"),
        ("a:1,u:p@b:2", "***@b:2"),
        ("localhost:9", "localhost:9"),
        ("[::1]:9", "[::1]:9"),
        ("", ""),
    ],
)
def test_urls_as_people_see_them(text: str, shown: str) -> None:
    """Logins and values of a query are masked, also where the text is no proper URL."""
    assert shown_url(text) == shown


@given(
    before=st.sampled_from(["http://", "https://", "http:/", "", "//"]),
    login=st.text("abc:/?#@&=%;\n", max_size=8),
    key=st.sampled_from(["token", "k", "api_key"]),
)
def test_no_part_of_a_login_or_a_query_is_shown(before: str, login: str, key: str) -> None:
    """Whatever characters it has."""
    assert "S3CRET" not in shown_url(f"{before}{login}S3CRET@h/p?{key}=S3CRET")
    assert "S3CRET" not in shown_url(f"{before}S3CRET{login}@h?S3CRET#S3CRET")


def test_headers_are_shown_by_a_list_of_harmless_ones() -> None:
    """Every other value is masked, whatever the name sounds like."""
    headers = {"Content-Type": "text/plain", "apikey": "s", "X-Auth-Key": "s", "X-Anything": "s", "User-Agent": "a"}
    assert shown_headers(headers) == {
        "Content-Type": "text/plain",
        "apikey": "***",
        "X-Auth-Key": "***",
        "X-Anything": "***",
        "User-Agent": "a",
    }


@pytest.mark.parametrize(
    ("text", "parts"),
    [("h:1", ("h", 1)), ("[::1]:9", ("::1", 9)), ("::1:9", ("::1", 9)), ("127.0.0.1:65535", ("127.0.0.1", 65535))],
)
def test_addresses_are_taken_apart(text: str, parts: tuple[str, int]) -> None:
    """Brackets around IPv6 may be missing, as the last colon is the port's."""
    assert split_address(text) == parts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("h", "no port"),
        ("[::1]", "no port"),
        ("h:", "port"),
        (":1", "no host"),
        ("h:0", "port"),
        ("h:99999", "port"),
        ("h:999999999999999999999", "port"),
        ("h:1x", "port"),
        ("h:-1", "port"),
        (f"{'a' * 300}:1", "host name"),
        (f"{'a.' * 200}b:1", "253"),
        ("a..b:1", "host name"),
        ("a b:1", "blank"),
        ("a\0b:1", "control character"),
        ("[x:y]:1", "IPv6"),
        ("tcp://h:1", "expected host:port"),
        ("u:p@h:1", "expected host:port"),
    ],
)
def test_addresses_that_can_never_be_reached(text: str, reason: str) -> None:
    """The reason says what is missing."""
    with pytest.raises(ValueError, match=reason):
        split_address(text)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://h", "must start with"),
        ("http://", "no host"),
        ("http:///p", "no host"),
        ("http://:80", "no host"),
        ("http://h:99999", "port"),
        ("http://h:0", "port"),
        ("http://h:x", "port"),
        ("http://[::1", "host"),
        (f"http://{'a' * 300}/", "host name"),
        ("http://a b/", "blank"),
    ],
)
def test_urls_that_can_never_be_asked(url: str, reason: str) -> None:
    """The reason says what is missing, and quotes nothing of a URL that may hold a password."""
    with pytest.raises(ValueError, match=reason):
        split_url(url)


@given(st.text(max_size=30))
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    """Nothing but ValueError comes out."""
    for split in (split_address, split_url):
        for given_text in (text, f"http://{text}"):
            with suppress(ValueError):
                split(given_text)
