"""Make the TLS context for a daemon's address."""

import ssl

from .endpoint import TlsFiles
from .errors import EngineEndpointError


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """A context that verifies the daemon and authenticates the client, as far as there are files for it.

    Raises:
        EngineEndpointError: a file cannot be read, or does not hold what it should. It names the file.
    """
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except (OSError, ssl.SSLError) as error:
        raise EngineEndpointError(f"TLS: {files.ca}: no certificate of an authority: {_reason(error)}") from error
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files.certificate is not None:
        try:
            # A password callback: without one OpenSSL would ask on the terminal.
            context.load_cert_chain(files.certificate, files.key, password="")
        except (OSError, ssl.SSLError) as error:
            reason = f"no client certificate with its private key: {_reason(error)}"
            raise EngineEndpointError(f"TLS: {files.certificate}, {files.key}: {reason}") from error
    return context


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
