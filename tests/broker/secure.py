"""A broker that wants TLS and a login, and gives rights to one of its users; the others have what they are granted."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterable
from contextlib import closing
from shutil import which
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from tests.broker.kafka import CONTROLLER_PORT, PORT, Broker, NoBroker

USERS = {"admin": "s3cret-of-admin", "guest": "s3cret-of-guest", "worker": "s3cret-of-worker"}

Right = tuple[str, str, str]
"""An operation, the kind of thing it is allowed on, and the thing's name: ("WRITE", "TOPIC", "lifecycle")."""


class SecureBroker(Broker):
    """SASL PLAIN over TLS: `admin` may do all, `guest` nothing, `worker` what it is granted.

    `authority` is the certificate to trust.

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

    def options(self, client: str, user: str, secret: str | None = None) -> dict[str, Any]:
        """The client's options for this user, with its own secret or another one."""
        password = USERS[user] if secret is None else secret
        if client == "kafka-python":
            return {
                "security_protocol": "SASL_SSL",
                "ssl_cafile": str(self.authority),
                "sasl_mechanism": "PLAIN",
                "sasl_plain_username": user,
                "sasl_plain_password": password,
            }
        return {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority),
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": password,
        }

    def grant(self, user: str, rights: Iterable[Right]) -> None:
        """The user may do these too, from every host."""
        rules = [
            ACL(
                f"User:{user}",
                "*",
                ACLOperation[operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(ResourceType[kind], name),
            )
            for operation, kind, name in rights
        ]
        with closing(
            KafkaAdminClient(bootstrap_servers=self.address, **self.options("kafka-python", "admin"))
        ) as admin:
            told = admin.create_acls(rules)
        assert not told["failed"], told
