"""A listener that asks for TLS, for a password, or for both: for brokers that tests and trials start themselves."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["SecuredListener"]

NAME = "SECURED"
LOGIN = "org.apache.kafka.common.security"
VALID_DAYS = 30


@dataclass(frozen=True)
class SecuredListener:
    """One user, who may do everything, and a certificate that the broker signs itself.

    The password is random where none is given.
    """

    protocol: Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    user: str = "reloop"
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def has_tls(self) -> bool:
        return self.protocol.endswith("SSL")

    @property
    def has_password(self) -> bool:
        return self.protocol.startswith("SASL")

    def certificate(self, folder: Path) -> Path:
        """Where the broker's certificate lies, for clients to trust."""
        return folder / "broker.pem"

    def properties(self, folder: Path) -> str:
        """The listener's lines of the broker's configuration."""
        prefix = f"listener.name.{NAME.lower()}"
        lines = []
        if self.has_password:
            lines.append(f"{prefix}.sasl.enabled.mechanisms={self.mechanism}")
            module = f"{LOGIN}.scram.ScramLoginModule required;"
            if self.mechanism == "PLAIN":
                module = f'{LOGIN}.plain.PlainLoginModule required user_{self.user}="{self.password}";'
            lines.append(f"{prefix}.{self.mechanism.lower()}.sasl.jaas.config={module}")
        if self.has_tls:
            lines += [
                f"{prefix}.ssl.keystore.type=PKCS12",
                f"{prefix}.ssl.keystore.location={folder / 'broker.p12'}",
                f"{prefix}.ssl.keystore.password={self.password}",
                f"{prefix}.ssl.key.password={self.password}",
            ]
        return "".join(f"{line}\n" for line in lines)

    def format_options(self) -> list[str]:
        """What the formatting of a new broker's data must be told."""
        if not self.has_password or self.mechanism == "PLAIN":
            return []
        return ["--add-scram", f"{self.mechanism}=[name={self.user},password={self.password}]"]

    def make_certificate(self, folder: Path, java: str) -> None:
        """A key and a certificate for 127.0.0.1, by the keytool beside Java. Raises CalledProcessError."""
        keytool = shutil.which("keytool", path=str(Path(java).resolve().parent)) or "keytool"
        store = [keytool, "-alias", "broker", "-keystore", str(folder / "broker.p12"), "-storetype", "PKCS12"]
        store += ["-storepass", self.password]
        extensions = ["-ext", "san=ip:127.0.0.1,dns:localhost", "-ext", "bc:c=ca:true"]
        made = [*store, "-genkeypair", "-keyalg", "RSA", "-validity", str(VALID_DAYS), "-dname", "CN=localhost"]
        for command in ([*made, *extensions], [*store, "-exportcert", "-rfc", "-file", str(self.certificate(folder))]):
            subprocess.run(command, check=True, capture_output=True)
