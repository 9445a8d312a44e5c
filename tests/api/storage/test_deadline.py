from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from api.storage.database.database import Database
from api.storage.database.deadline import Deadline, check_deadline, within
from api.storage.database.refusals import ReadTooLong

ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")


def read_endlessly(database: Database) -> None:
    with database.reading() as connection:
        connection.execute(ENDLESS)


def test_reading_ends_by_its_deadline_and_the_connection_serves_on(database: Database) -> None:
    with within(Deadline(0.2)), pytest.raises(ReadTooLong, match=r"within 0\.2 s: ask for less"):
        read_endlessly(database)
    with database.reading() as connection:
        long_enough = text(str(ENDLESS).replace("FROM n)", "FROM n WHERE i < 300000)"))
        assert connection.execute(long_enough).scalar_one() == 300_000


def test_reading_that_nobody_waits_for_ends(migrated_file: Path) -> None:
    database, deadline = Database(f"sqlite:///{migrated_file}"), Deadline(600.0)
    threading.Timer(0.2, deadline.call_off).start()
    with within(deadline), pytest.raises(ReadTooLong):
        read_endlessly(database)
    database.close()


def test_a_deadline_that_is_over_lets_nothing_begin(database: Database) -> None:
    over = Deadline(0.0)
    with pytest.raises(ReadTooLong), within(over):
        pytest.fail("this was begun")
    check_deadline()


def test_work_between_statements_ends_where_it_looks() -> None:
    deadline = Deadline(600.0)
    with within(deadline):
        check_deadline()
        deadline.call_off()
        with pytest.raises(ReadTooLong):
            check_deadline()


def test_what_has_no_deadline_goes_on(database: Database) -> None:
    with database.reading() as connection:
        connection.execute(text("SELECT 1"))
        time.sleep(0.05)
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
