"""SSL contexts: one of the port, and one for each certificate.

The context of the port never changes, so a server may keep it. It has no certificate: in each
handshake it selects the context for the server name that the client sent. `renew` replaces those
contexts; open connections keep theirs.

The context of the port is made before the fork, so that all workers share the key of its session
tickets: a client may resume a session at any worker.

Only this module makes an `ssl.SSLContext`. Without TLS it is not imported.
"""

import contextlib
import logging
import os
import re
import ssl
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyfork.config.config import Config
from pyfork.errors import ConfigError, HookError
from pyfork.net.client_hello import read as read_hello
from pyfork.net.tls.certificate import Certificate, parse
from pyfork.net.tls.pem_files import PemFiles, read
from pyfork.net.tls.session import Context, Session

log = logging.getLogger("pyfork.error")

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ENCRYPTED = re.compile(r"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.M)
_NOT_A_PAIR = ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED", "KEY_TYPE_MISMATCH")

# For TLS 1.2: only forward secrecy and AEAD (RFC 9325 4.2), as all of TLS 1.3 has.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK"

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_REQUIREMENTS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


_PROTOCOLS = ["http/1.1"]
_SPOKEN = {each.encode() for each in _PROTOCOLS}
_NO_APPLICATION_PROTOCOL = 120  # RFC 7301 3.2; ssl.AlertDescription does not have it


class TlsContexts:
    """The contexts of a port. Raises ConfigError if the files cannot be used."""

    def __init__(self, config: Config, credentials: PemFiles) -> None:
        self._config = config
        self._default: Context
        self._by_name: dict[str, Context] = {}
        self.renew(credentials)
        self.context = _context(config, credentials)
        self.context.anew = _context(config, credentials)
        for context in (self.context, self.context.anew):
            context.sni_callback = self._on_sni

    def renew(self, credentials: PemFiles) -> None:
        """Use these files from the next handshake on. Raises ConfigError, and changes nothing."""
        contexts: list[Context] = []
        by_name: dict[str, Context] = {}
        for (path, chain), key in zip(credentials.certificates, credentials.keys, strict=True):
            leaf, about = _leaf(path, chain)
            context = _context(self._config, credentials)
            context.certificate = leaf
            _load(context, (path, chain), key, credentials.password)
            contexts.append(context)
            for name in about.names:
                by_name.setdefault(name, context)
            _warn_of_dates(path, about)
        self._default, self._by_name = contexts[0], by_name

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the certificates."""
        return tuple(self._by_name)

    def _on_sni(self, handshake: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        """Show the certificate for ``name``; called whether the client asks for one or not.

        Of TLS 1.2, ``name`` is that of the session if one is resumed. Returns an alert, or None.
        """
        if isinstance(handshake, Session) and handshake.hello:
            asked = read_hello(bytes(handshake.hello))
            if asked.protocols and not _SPOKEN & set(asked.protocols):
                return _NO_APPLICATION_PROTOCOL
            if asked.name != (name or "").lower():  # RFC 6066 3
                handshake.is_misnamed = True
                return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        handshake.context = self.find(name)
        return None

    def find(self, name: str | None) -> Context:
        """The context of the certificate for a name; a wildcard matches one label."""
        if name is None:
            return self._default
        name = name.lower()
        wild = "*." + name.partition(".")[2]
        return self._by_name.get(name) or self._by_name.get(wild) or self._default


def load(config: Config) -> TlsContexts | None:
    """The contexts of a configuration; None: it has no TLS. Raises ConfigError."""
    if not config.certfile:
        if config.keyfile or config.ca_certs or config.cert_reqs != "none":
            raise ConfigError("TLS needs a certificate: add --certfile FILE")
        return None
    if config.ca_certs and config.cert_reqs == "none":
        log.warning(
            "--ca-certs: no client is asked for a certificate; --cert-reqs optional or required "
            "would ask"
        )
    return TlsContexts(config, read(config))


def _context(config: Config, credentials: PemFiles) -> Context:
    """A context without a certificate, from the ssl_context hook. Raises ConfigError."""
    if config.ssl_context is None:
        return _default_context(config, credentials)
    from pyfork.hooks.call import call  # most have none
    from pyfork.hooks.objects import HookConfig

    try:
        made = call(
            config, "ssl_context", HookConfig(config), lambda: _default_context(config, credentials)
        )
    except HookError as error:
        raise ConfigError(str(error), error.detail) from error
    if not isinstance(made, Context):
        raise ConfigError("hook ssl_context must return the context that default() makes")
    return made


def _default_context(config: Config, credentials: PemFiles) -> Context:
    """A context without a certificate: Python's defaults for servers, and what was asked for.

    All of them are alike: of the one that is switched to at the name, OpenSSL takes the
    certificate, the authorities and ALPN; the rest is from the one that the connection began with.
    """
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.tls_min]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(_PROTOCOLS)
    context.verify_mode = _REQUIREMENTS[config.cert_reqs]
    try:
        context.set_ciphers(config.ciphers or _CIPHERS)
    except ssl.SSLError:
        raise ConfigError(
            f"--ciphers {config.ciphers}: OpenSSL knows none of them; `openssl ciphers -v` "
            "lists those that it knows"
        ) from None
    if credentials.authorities and config.cert_reqs != "none":
        try:
            found = _PEM.findall(credentials.authorities)  # without the comments between
            context.load_verify_locations(cadata="\n".join(found))
        except (ssl.SSLError, ValueError):
            raise ConfigError(f"--ca-certs {config.ca_certs}: holds no certificate") from None
        # A client that resumes a session is not asked again: a certificate that is no longer
        # accepted, or that was accepted for another name, would be let in.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def _leaf(path: str, chain: str) -> tuple[str, Certificate]:
    """The certificate of the server, which is the first one: as PEM, and its fields."""
    found = _PEM.search(chain)
    if found is None:
        raise ConfigError(f"--certfile {path}: holds no certificate in PEM form")
    try:
        return found[0] + "\n", parse(ssl.PEM_cert_to_DER_cert(found[0]))
    except ValueError:
        raise ConfigError(f"--certfile {path}: its first certificate is damaged") from None


def _load(context: Context, chain: Sequence[str], key: Sequence[str], password: str) -> None:
    """Give ``context`` its certificate. Raises ConfigError."""
    path, text = key
    if not _KEY.search(text):
        where = "its certificate's file" if path == chain[0] else "it"
        raise ConfigError(
            f"--keyfile {path}: there is no private key in PEM form in {where}"
            + ("; --keyfile FILE says where it is" if path == chain[0] else "")
        )
    encrypted = bool(_ENCRYPTED.search(text))
    if encrypted and not password:
        raise ConfigError(
            f"--keyfile {path}: is encrypted: give its password in PYFORK_KEYFILE_PASSWORD or in a "
            "file, --keyfile-password-file"
        )
    with _as_file(f"{text}\n{chain[1]}") as file:
        try:
            context.load_cert_chain(file, password=lambda: password)  # else OpenSSL would ask
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None)
            if reason in _NOT_A_PAIR:
                what = f"is not the key of the certificate {chain[0]}"
            elif reason:
                what = f"OpenSSL refuses it, with {chain[0]}: {reason.lower().replace('_', ' ')}"
            elif encrypted:
                what = "the password does not open it"
            else:
                what = f"it is damaged, or a certificate of {chain[0]} is"
            raise ConfigError(f"--keyfile {path}: {what}") from None


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A file that no other process can open, for a library that only reads files."""
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("pyfork", os.MFD_CLOEXEC), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "pem")
            path.touch(0o600)
            path.write_text(text, encoding="utf-8")
            yield str(path)


def _warn_of_dates(path: str, about: Certificate) -> None:
    """Warn of a certificate that clients will refuse: there may be no better one."""
    now = time.time()
    if about.ends < now:
        log.warning("--certfile %s: expired on %s", path, _date(about.ends))
    elif about.begins > now:
        log.warning("--certfile %s: is not valid before %s", path, _date(about.begins))


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
