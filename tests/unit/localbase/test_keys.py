import pytest

from localbase.errors import LocalbaseError
from localbase.keys import SECRET_VARIABLE, Keys
from localbase.tokens import InvalidTokenError

WELL_KNOWN_ANON = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6ImFub24iLCJleHAiOjE5ODM4MTI5OTZ9."
    "CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0"
)
OTHER_SECRET = "another secret of more than thirty-two characters"


@pytest.fixture(autouse=True)
def no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)


def test_keys_are_those_of_supabase_start() -> None:
    keys = Keys.local()

    assert keys.anon_key == WELL_KNOWN_ANON
    assert keys.publishable_key == "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"


def test_repr_shows_no_key() -> None:
    keys = Keys.local()

    shown = repr(keys)

    for value in (keys.jwt_secret, keys.anon_key, keys.service_role_key, keys.secret_key):
        assert value not in shown


def test_another_secret_gives_other_keys_of_the_same_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, OTHER_SECRET)

    keys, known = Keys.local(), Keys.local("x" * 40)

    assert keys.jwt_secret == OTHER_SECRET
    assert keys.secret_key.startswith("sb_secret_")
    assert len(keys.publishable_key) == len(known.publishable_key)
    assert keys.publishable_key != known.publishable_key


def test_short_secret_is_refused() -> None:
    with pytest.raises(LocalbaseError, match="5 characters"):
        Keys.local("short")


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("anon_key", "anon"),
        ("publishable_key", "anon"),
        ("service_role_key", "service_role"),
        ("secret_key", "service_role"),
    ],
)
def test_every_key_stands_for_a_role(key: str, role: str) -> None:
    keys = Keys.local()

    assert keys.claims(getattr(keys, key))["role"] == role


def test_unknown_key_has_no_claims() -> None:
    with pytest.raises(InvalidTokenError):
        Keys.local().claims("sb_secret_of_somebody_else")
