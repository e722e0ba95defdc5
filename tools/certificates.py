"""Make certificates for an engine with TLS, with the openssl program."""

import subprocess
from pathlib import Path

ADDRESS = "127.0.0.1"


class Certificates:
    """An authority, and what it signed, in a folder.

    `server` and `client` have the files that dockerd and the Docker CLI want: ca.pem, cert.pem, key.pem. `expired` is a
    client's whose certificate is out of date, `stranger` one of another authority.
    """

    def __init__(self, folder: Path) -> None:
        self.server, self.client, self.expired, self.stranger = (
            folder / name for name in ("server", "client", "expired", "stranger")
        )
        ours, theirs = _authority(folder / "ca"), _authority(folder / "other-ca")
        _signed(self.server, ours, f"subjectAltName=IP:{ADDRESS}\nextendedKeyUsage=serverAuth")
        for client, authority, days in ((self.client, ours, 1), (self.expired, ours, -1), (self.stranger, theirs, 1)):
            _signed(client, authority, "extendedKeyUsage=clientAuth", days=days)


def _authority(folder: Path) -> Path:
    folder.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"]
    _openssl(folder, "req", "-x509", *key, "-out", "cert.pem", "-days", "1", "-subj", f"/CN={folder.name}")
    return folder


def _signed(folder: Path, authority: Path, extensions: str, *, days: int = 1) -> None:
    folder.mkdir()
    (folder / "extensions").write_text(extensions)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem"]
    _openssl(folder, "req", *key, "-out", "request.pem", "-subj", f"/CN={folder.name}")
    signing = ["-CA", str(authority / "cert.pem"), "-CAkey", str(authority / "key.pem"), "-CAcreateserial"]
    lasting = ["-days", str(days), "-extfile", "extensions"]
    _openssl(folder, "x509", "-req", "-in", "request.pem", *signing, *lasting, "-out", "cert.pem")
    (folder / "ca.pem").write_bytes((authority / "cert.pem").read_bytes())


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
