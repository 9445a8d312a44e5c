"""Tables as bytes and back: Parquet, the same bytes for the same table.

Contract: every time in a table is a whole second, which Parquet does not know; it is given back as one.
"""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet

from arbitrage.errors import BadInput, Fault


def encode_table(table: pd.DataFrame) -> bytes:
    """A table with its index, which must have a name."""
    flat = pa.Table.from_pandas(table.reset_index(), preserve_index=False).replace_schema_metadata(
        {b"index": str(table.index.name).encode()}
    )
    out = io.BytesIO()
    parquet.write_table(flat, out, compression="zstd")
    return out.getvalue()


def decode_table(content: bytes, where: str) -> pd.DataFrame:
    """The inverse. Raises BadInput naming `where`."""
    try:
        flat = parquet.read_table(io.BytesIO(content))
    except pa.ArrowException as error:
        raise BadInput([Fault(where, f"is not a Parquet file: {error}")]) from error
    name = (flat.schema.metadata or {}).get(b"index")
    if name is None or name.decode() not in flat.column_names:
        raise BadInput([Fault(where, "is not a table of a run: its index is not named")])
    table: pd.DataFrame = flat.replace_schema_metadata(None).to_pandas()
    for column in table.select_dtypes(["datetime", "datetimetz"]):
        table[column] = table[column].dt.as_unit("s")
    return table.set_index(name.decode())
