"""Settings come from the environment and .env, and say which one is wrong."""

from pathlib import Path

import pytest

from reelbase import ConfigurationError, Reelbase, Settings

ADDRESS = "http://127.0.0.1:54321"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY", "REELBASE_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_missing_address__names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match=r"SUPABASE_URL is not set\. Set it in .*\.env"):
        Settings.load()


def test_missing_key__names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", ADDRESS)

    with pytest.raises(ConfigurationError, match="SUPABASE_SERVICE_ROLE_KEY is not set"):
        Reelbase.from_env()
    with pytest.raises(ConfigurationError, match="SUPABASE_ANON_KEY is not set"):
        Reelbase.from_env("anon")


def test_empty_value__counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "")

    with pytest.raises(ConfigurationError, match="SUPABASE_URL is not set"):
        Settings.load()


@pytest.mark.parametrize(
    "address",
    [
        "localhost:54321",
        "ftp://x",
        "http://",
        "http://h:99999",
        "http://a b",
        "http://h/rest/v1",
        "http://h?x",
    ],
)
def test_wrong_address__is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("SUPABASE_URL", address)

    with pytest.raises(ConfigurationError, match="SUPABASE_URL is wrong: must be a project's web address"):
        Settings.load()


def test_several_wrong_settings__are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "nowhere")
    monkeypatch.setenv("REELBASE_TIMEOUT", "soon")

    with pytest.raises(ConfigurationError) as caught:
        Settings.load()

    assert "SUPABASE_URL is wrong" in str(caught.value)
    assert "REELBASE_TIMEOUT is wrong" in str(caught.value)
    assert "nowhere" not in str(caught.value)


def test_env_file__is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SUPABASE_URL={ADDRESS}/\nREELBASE_TIMEOUT=3\nOTHER=x\n")
    monkeypatch.setenv("REELBASE_TIMEOUT", "4")

    settings = Settings.load()

    assert settings.supabase_url == ADDRESS
    assert settings.reelbase_timeout == 4


def test_keys__do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", ADDRESS)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "very-secret")

    settings = Settings.load()

    assert settings.key("service_role") == "very-secret"
    assert "very-secret" not in f"{settings!r} {settings}"
