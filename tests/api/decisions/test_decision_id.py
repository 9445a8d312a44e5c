from __future__ import annotations

import datetime as dt
import os
import uuid

from hypothesis import given
from hypothesis import strategies as st

from api.decisions.decision_id import decision_id

NOON = dt.datetime(2024, 7, 2, 12, 0, 7, 345678, tzinfo=dt.UTC)


@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC)))
def test_a_name_is_a_uuid_of_version_7_that_begins_with_its_millisecond(time: dt.datetime) -> None:
    name = decision_id(time)
    read = uuid.UUID(name)
    assert str(read) == name
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert abs((read.int >> 80) - time.timestamp() * 1e3) < 1.0


def test_names_of_the_same_moment_differ() -> None:
    assert len({decision_id(NOON) for _ in range(10_000)}) == 10_000


def test_a_forked_process_draws_other_names() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, decision_id(NOON).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100).decode() != decision_id(NOON)
