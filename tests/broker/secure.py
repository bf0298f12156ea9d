"""A broker that wants TLS and a login, and gives rights to one of its two users only."""

from __future__ import annotations

import ssl
import subprocess
from shutil import which

from tests.broker.kafka import CONTROLLER_PORT, PORT, Broker, NoBroker

USERS = {"admin": "s3cret-of-admin", "guest": "s3cret-of-guest"}


class SecureBroker(Broker):
    """SASL PLAIN over TLS: `admin` may do all, `guest` nothing. `authority` is the certificate to trust.

    Raises `NoBroker` where there is no openssl to make a certificate with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.authority = self.folder / "certificate.pem"
        key, store = self.folder / "key.pem", self.folder / "store.pem"
        openssl = which("openssl")
        if openssl is None:
            self.close()
            raise NoBroker("no openssl on this machine, to make a certificate with")
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        made = [*command, "-keyout", str(key), "-out", str(self.authority)]
        subprocess.run(made, check=True, capture_output=True, timeout=60)
        store.write_text(key.read_text() + self.authority.read_text())
        self.tls = ssl.create_default_context(cafile=str(self.authority))
        self.tls.check_hostname = False
        users = " ".join(f'user_{name}="{secret}"' for name, secret in USERS.items())
        login = f'username="admin" password="{USERS["admin"]}" {users}'
        self._properties |= {
            "listeners": f"SASL_SSL://127.0.0.1:{PORT},CONTROLLER://127.0.0.1:{CONTROLLER_PORT}",
            "advertised.listeners": f"SASL_SSL://127.0.0.1:{PORT}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {login};"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin;User:ANONYMOUS",  # anonymous: the node's own controller
        }
