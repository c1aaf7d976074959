"""What an operator may write into `private.settings`."""

from typing import LiteralString

import psycopg
import pytest
from psycopg.types.json import Jsonb

from sql import Session

SET: LiteralString = "update private.settings set value = %s where name = %s"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_running_jobs", "20"),
        ("max_running_jobs", -1),
        ("max_running_jobs", 1.5),
        ("max_running_jobs", 2**31),
        ("max_running_jobs", [20]),
        ("max_rescues", True),
        ("retry_delay_seconds", None),
        ("retry_delay_seconds", -0.5),
        ("retention_days_jobs", "for ever"),
        ("retention_days_jobs", -10),
        ("queue_paused", "yes"),
        ("queue_paused", None),
        ("mask_client_addresses", 0),
        ("client_ip_header", 1),
        ("client_ip_header", {}),
    ],
)
def test_value_of_another_form__is_refused_where_it_is_written(
    database: Session, name: str, value: object
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="settings_value_has_its_form") as caught:
        database.execute(SET, (Jsonb(value), name))

    assert name in (caught.value.diag.message_detail or "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_running_jobs", 0),
        ("max_running_jobs", 2**31 - 1),
        ("max_running_jobs", None),
        ("retry_delay_seconds", 0.5),
        ("retention_days_jobs", None),
        ("queue_paused", True),
        ("client_ip_header", "cf-connecting-ip"),
    ],
)
def test_value_of_its_form__is_taken(database: Session, name: str, value: object) -> None:
    with database.transaction(force_rollback=True):
        assert database.execute(SET, (Jsonb(value), name)).rowcount == 1


def test_as_many_days_as_can_be__reach_back_to_everything(database: Session) -> None:
    with database.transaction(force_rollback=True):
        database.execute(SET, (Jsonb(2**31 - 1), "recent_days"))

        assert database.execute("select private.recent_since() < '0700-01-01 BC'").fetchone() == (True,)
        database.execute("select * from public.error_summary")
