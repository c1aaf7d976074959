"""What config.toml says about Auth."""

from pathlib import Path

from localbase.project import AuthConfig, read_project

_CONFIG = """
[auth]
enabled = true
site_url = "http://127.0.0.1:3000"
jwt_expiry = 120
enable_anonymous_sign_ins = true
refresh_token_reuse_interval = 3
minimum_password_length = 10

[auth.email]
enable_signup = false
enable_confirmations = true
"""


def read(workdir: Path, config: str) -> AuthConfig:
    (workdir / "supabase").mkdir()
    (workdir / "supabase" / "config.toml").write_text(config)
    return read_project(workdir).auth


def test_settings_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, _CONFIG) == AuthConfig(
        jwt_expiry=120,
        enable_anonymous_sign_ins=True,
        refresh_token_reuse_interval=3,
        minimum_password_length=10,
        enable_email=False,
        enable_confirmations=True,
    )


def test_defaults_are_those_of_the_cli(tmp_path: Path) -> None:
    assert read(tmp_path, "") == AuthConfig()
