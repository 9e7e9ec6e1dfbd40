"""Properties of a TLS connection for applications: the client certificate and the protection.

WSGI gets the variable names of Apache's mod_ssl, ASGI its TLS extension (version 0.2).
"""

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

# RFC 4514 section 3; other attributes are written by number.
_SHORT = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def environ(session: ssl.SSLObject) -> dict[str, str]:
    """Return the variables for a WSGI environ."""
    cipher = session.cipher()
    found = {
        "HTTPS": "on",
        "SSL_PROTOCOL": session.version() or "",
        "SSL_CIPHER": cipher[0] if cipher else "",
        "SSL_CLIENT_VERIFY": "NONE",
    }
    certificate: Any = session.getpeercert()
    if not certificate:
        return found
    return found | {
        "SSL_CLIENT_VERIFY": "SUCCESS",  # a client that fails has no connection
        "SSL_CLIENT_S_DN": distinguished_name(certificate["subject"]),
        "SSL_CLIENT_I_DN": distinguished_name(certificate["issuer"]),
        "SSL_CLIENT_M_SERIAL": certificate["serialNumber"],
        "SSL_CLIENT_V_START": certificate["notBefore"],
        "SSL_CLIENT_V_END": certificate["notAfter"],
        "SSL_CLIENT_CERT": _pem(session),
    }


def extension(session: ssl.SSLObject) -> Mapping[str, Any]:
    """Return ``scope["extensions"]["tls"]``."""
    context: Any = session.context
    certificate: Any = session.getpeercert()
    cipher = session.cipher()
    numbers = {each["name"]: each["id"] & 0xFFFF for each in context.get_ciphers()}
    return {
        "server_cert": getattr(context, "certificate", None) or None,
        "client_cert_chain": (_pem(session),) if certificate else (),
        "client_cert_name": distinguished_name(certificate["subject"]) if certificate else None,
        "client_cert_error": None,  # a client that fails has no connection
        "tls_version": _VERSIONS.get(session.version() or ""),
        "cipher_suite": numbers.get(cipher[0]) if cipher else None,
    }


def distinguished_name(name: Iterable[Iterable[tuple[str, str]]]) -> str:
    """Format a name of `ssl.SSLObject.getpeercert` as RFC 4514 does: the last part first."""
    parts = ("+".join(f"{_SHORT.get(k, k)}={_escape(v)}" for k, v in part) for part in name)
    return ",".join(reversed(list(parts)))


def _escape(value: str) -> str:
    """Escape a value (RFC 4514 2.4)."""
    escaped = "".join(
        f"\\{char}" if char in '",+;<>\\' else "\\00" if char == "\0" else char for char in value
    )
    if escaped.startswith(("#", " ")):
        escaped = "\\" + escaped
    if escaped.endswith(" ") and len(value) > 1:
        escaped = escaped[:-1] + "\\ "
    return escaped


def _pem(session: ssl.SSLObject) -> str:
    der = session.getpeercert(binary_form=True)
    return ssl.DER_cert_to_PEM_cert(der) if der else ""
