"""HTTPS: certificates, protocols and client authentication."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import PATH, PATHS, TEXT, ValueType, choice, optional

# gunicorn and uvicorn use the numbers of the ssl module.
_REQUIREMENTS = ("none", "optional", "required")


def _cert_reqs(raw: object) -> str:
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw)
    if isinstance(raw, str):
        raw = raw.lower().removeprefix("cert_")
        raw = dict(zip("012", _REQUIREMENTS, strict=True)).get(raw, raw)
    if raw not in _REQUIREMENTS:
        raise ValueError(raw)
    return str(raw)


class Secret(str):
    """Text that is never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


CERT_REQS = ValueType("|".join(_REQUIREMENTS), "none, optional or required", _cert_reqs)
SECRET = ValueType("TEXT", "text", lambda raw: Secret(TEXT.read(raw)), lambda _: "***")


@group("TLS")
class TLSSettings:
    """HTTPS: certificates, protocols and client authentication."""

    certfile: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--certfile --ssl-certfile",
        repeat=True,
        help="Speak TLS, with the certificate in this PEM file: the server's own first, then the "
        "chain to its authority. May be repeated: a client gets the one for the name that it "
        "asks for, else the first. pyfork uses changed files within seconds, without a "
        "reload.",
    )
    keyfile: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--keyfile --ssl-keyfile",
        repeat=True,
        help="The private key, in PEM; one for each --certfile, in their order. By default each "
        "key is in the file of its certificate.",
    )
    keyfile_password: Secret | None = setting(
        None,
        optional(SECRET),
        flags="--ssl-keyfile-password",
        help="The password of encrypted keys. Give it in the environment or a file: every user of "
        "the machine can read a command line.",
    )
    keyfile_password_file: str | None = setting(
        None,
        optional(PATH),
        flags="--keyfile-password-file",
        help="A file whose first line is the password of encrypted keys.",
    )
    ca_certs: str | None = setting(
        None,
        optional(PATH),
        flags="--ca-certs --ssl-ca-certs",
        help="A PEM file of the authorities whose client certificates are accepted.",
    )
    cert_reqs: str = setting(
        "none",
        CERT_REQS,
        flags="--cert-reqs --ssl-cert-reqs",
        help="The rule for client certificates of --ca-certs. none asks for none. optional accepts "
        "clients without one. required rejects them.",
    )
    ciphers: str | None = setting(
        None,
        optional(TEXT),
        flags="--ciphers --ssl-ciphers",
        help="The ciphers for TLS 1.2, in OpenSSL's syntax. The default is those with forward "
        "secrecy and authenticated encryption.",
    )
    tls_min: str = setting(
        "1.2",
        choice("1.2", "1.3"),
        flags="--tls-min",
        help="The lowest version of TLS.",
    )
