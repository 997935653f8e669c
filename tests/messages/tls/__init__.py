"""A certificate for names under maitred.test and for localhost, good until 2120, and the authority behind it.

The authority's key was thrown away. The server's key is worth nothing outside these tests.
"""

from __future__ import annotations

import ssl
from pathlib import Path

AUTHORITY = Path(__file__).parent / "authority.pem"
NAME = "hooks.maitred.test"
MAIL_NAME = "localhost"


def server_context() -> ssl.SSLContext:
    """For a server that shows the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "server.pem")
    return context
