"""Reads the PEM files of TLS, once: the text that is checked is the text that is used.

The arbiter reads them with the rights of the user that started pyfork, and passes the text on:
workers may not be allowed to read a private key. Nothing here interprets the text.
"""

import os
from collections.abc import Sequence

from pyfork.config.config import Config
from pyfork.errors import ConfigError
from pyfork.record import record

_MAX_BYTES = 256 * 1024  # bytes of all files together: they travel in one message


@record
class PemFiles:
    """The content of the files of a configuration, as PEM."""

    certificates: Sequence[Sequence[str]]  # path and text
    keys: Sequence[Sequence[str]]  # path and text, in the order of the certificates
    authorities: str  # that sign accepted client certificates; may be empty
    password: str

    def __repr__(self) -> str:
        return "Credentials(...)"


FileState = tuple[tuple[int, ...] | None, ...]
"""The state of each file; None for one that does not exist."""


def read(config: Config) -> PemFiles:
    """Read the files. Raises ConfigError if one is missing, or the settings do not fit."""
    certificates = config.certfile
    keys = config.keyfile or certificates
    if len(keys) != len(certificates):
        raise ConfigError(
            f"--keyfile: there are {len(keys)} for {len(certificates)} --certfile: give one for "
            "each, in the same order, or none if the keys are in the certificates' files"
        )
    if config.cert_reqs != "none" and not config.ca_certs:
        raise ConfigError(
            f"--cert-reqs {config.cert_reqs}: say with --ca-certs FILE who may issue clients' "
            "certificates"
        )
    found = PemFiles(
        tuple((path, _text("--certfile", path)) for path in certificates),
        tuple((path, _text("--keyfile", path)) for path in keys),
        _text("--ca-certs", config.ca_certs) if config.ca_certs else "",
        _password(config),
    )
    pairs = (*found.certificates, *found.keys)
    if sum(len(text) for _, text in pairs) + len(found.authorities) > _MAX_BYTES:
        raise ConfigError(
            f"the files of TLS have more than {_MAX_BYTES >> 10} KiB: keep what is used"
        )
    return found


def stat_files(config: Config) -> FileState:
    """The state of the files now. It changes when a file is written or replaced."""
    paths = (*config.certfile, *config.keyfile, config.ca_certs, config.keyfile_password_file)
    return tuple(_state(path) for path in paths if path)


def _state(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _text(flag: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{flag} {path}: cannot be read: {error.strerror}") from None


def _password(config: Config) -> str:
    if config.keyfile_password_file is None:
        return config.keyfile_password or ""
    if config.keyfile_password is not None:
        raise ConfigError("keyfile_password and keyfile_password_file: give one of them")
    return _text("--keyfile-password-file", config.keyfile_password_file).partition("\n")[0]
