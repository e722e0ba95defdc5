"""Make the TLS context for a daemon's TCP address."""

import ssl

from .endpoint import TlsFiles
from .errors import EngineEndpointError


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that verifies the daemon, and authenticates the client if there is a client certificate.

    Raises:
        EngineEndpointError: a file cannot be read, or has no certificate or key. The message names the file.
    """
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except (OSError, ssl.SSLError) as error:
        raise EngineEndpointError(f"TLS: {files.ca} has no CA certificate: {_reason(error)}") from error
    # Python 3.13 demands a key usage of an authority's certificate. The one that Docker's own guide makes has none
    # (https://docs.docker.com/engine/security/protect-access/), and the Docker CLI takes it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files.certificate is not None:
        try:
            # Without a password, OpenSSL would ask for an encrypted key's password on the terminal.
            context.load_cert_chain(files.certificate, files.key, password="")
        except (OSError, ssl.SSLError) as error:
            reason = f"not a client certificate and its private key: {_reason(error)}"
            raise EngineEndpointError(f"TLS: {files.certificate}, {files.key}: {reason}") from error
    return context


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
