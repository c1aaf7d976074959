from pathlib import Path

import pytest

from localbase.errors import LocalbaseError
from localbase.project import ApiConfig, read_project


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    (tmp_path / "supabase" / "migrations").mkdir(parents=True)
    return tmp_path


def configure(workdir: Path, text: str) -> None:
    (workdir / "supabase" / "config.toml").write_text(text)


def test_no_folder_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(LocalbaseError, match=r"has no folder supabase\. Name the directory"):
        read_project(tmp_path)


def test_without_config_the_defaults_of_the_platform_hold(workdir: Path) -> None:
    assert read_project(workdir).api == ApiConfig()


def test_migrations_are_in_order_and_other_files_left_out(workdir: Path) -> None:
    folder = workdir / "supabase" / "migrations"
    for name in ("20250102000000_b.sql", "20250101000000_a_b.sql", "README.md", "1_short.sql"):
        (folder / name).touch()

    found = read_project(workdir).migrations

    assert [(migration.version, migration.name) for migration in found] == [
        ("20250101000000", "a_b"),
        ("20250102000000", "b"),
    ]


def test_seeds_keep_the_order_of_their_patterns(workdir: Path) -> None:
    configure(workdir, '[db.seed]\nsql_paths = ["./z.sql", "./*.sql"]')
    for name in ("a.sql", "z.sql"):
        (workdir / "supabase" / name).touch()

    project = read_project(workdir)

    assert [project.label(path) for path in project.seeds] == ["supabase/z.sql", "supabase/a.sql"]


def test_disabled_sections_are_empty(workdir: Path) -> None:
    configure(workdir, "[db.seed]\nenabled = false\n[db.migrations]\nenabled = false")
    (workdir / "supabase" / "seed.sql").touch()
    (workdir / "supabase" / "migrations" / "20250101000000_a.sql").touch()

    project = read_project(workdir)

    assert (project.migrations, project.seeds) == ((), ())


def test_api_section_decides_what_is_exposed(workdir: Path) -> None:
    configure(workdir, '[api]\nschemas = ["api"]\nmax_rows = 5')

    assert read_project(workdir).api == ApiConfig(schemas=("api",), max_rows=5)


def test_broken_config_names_the_file(workdir: Path) -> None:
    configure(workdir, "[api")

    with pytest.raises(LocalbaseError, match=r"config\.toml cannot be read"):
        read_project(workdir)
