"""DuckDB with its extension httpfs, the way programs use it: nothing here knows of Strongroom.

The extension comes as a package: at run time DuckDB would fetch it from a server of its own.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import duckdb_extension_httpfs

from tests.s3clients.programs.lines import serve

BUCKET = f"s3://{os.environ['BUCKET']}/"
ENDPOINT = urlsplit(os.environ["AWS_ENDPOINT_URL"])
DATABASE = duckdb.connect(config={"allow_unsigned_extensions": "true"})


def _begin() -> None:
    (extension,) = Path(next(iter(duckdb_extension_httpfs.__path__))).rglob("*.duckdb_extension")
    DATABASE.execute(f"LOAD '{extension}'")
    if "SSL_CERT_FILE" in os.environ:
        DATABASE.execute(f"SET ca_cert_file = '{os.environ['SSL_CERT_FILE']}'")
    DATABASE.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{os.environ['AWS_ACCESS_KEY_ID']}', "
        f"SECRET '{os.environ['AWS_SECRET_ACCESS_KEY']}', REGION '{os.environ['AWS_REGION']}', "
        f"ENDPOINT '{ENDPOINT.netloc}', URL_STYLE 'path', USE_SSL {str(ENDPOINT.scheme == 'https').lower()})"
    )


def version() -> str:
    return str(duckdb.__version__)


def get(key: str, file: str) -> None:
    ((content,),) = DATABASE.execute("SELECT content FROM read_blob(?)", [BUCKET + key]).fetchall()
    Path(file).write_bytes(content)


def read_listed(prefix: str) -> dict[str, int]:
    """Read tables, too, which DuckDB does by ranges, each compared with the ETag that the listing showed."""
    tables = f"{BUCKET}{prefix}tables/"
    for number in range(2):
        DATABASE.sql("SELECT i FROM range(300000) t(i)").write_parquet(f"{tables}{number}.parquet")
    assert DATABASE.read_parquet(f"{tables}*.parquet").count("i").fetchone() == (600_000,)
    query = "SELECT filename, octet_length(content) FROM read_blob(?) WHERE NOT contains(filename, '/tables/')"
    found = DATABASE.execute(query, [f"{BUCKET}{prefix}**"]).fetchall()
    return {name.removeprefix(BUCKET): size for name, size in found}


def sizes(prefix: str) -> dict[str, int]:
    found = DATABASE.execute("SELECT filename, size FROM read_blob(?)", [f"{BUCKET}{prefix}**"]).fetchall()
    return {name.removeprefix(BUCKET): size for name, size in found}


_begin()
serve({act.__name__: act for act in (version, get, read_listed, sizes)})
