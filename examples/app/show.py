"""Stands for an application: it knows nothing of Strongroom, and reads its environment as any program does."""

import os
from urllib.parse import unquote, urlsplit

database = urlsplit(os.environ["DATABASE_URL"])
print(
    f"database {database.hostname}, user {database.username}, password of {len(unquote(database.password))} characters"
)
print(f"token of {len(os.environ['API_TOKEN'])} characters, log level {os.environ['LOG_LEVEL']}")
