"""A TLS client that sends records which no library would send.

The handshake is Python's; the keys of what follows are derived from the secrets that OpenSSL
writes to the key log (RFC 8446 7.1 to 7.3, RFC 5246 6.3, RFC 5288).
"""

import hmac
import socket
import ssl
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HANDSHAKE, APPLICATION_DATA = 22, 23
_LEGACY = b"\x03\x03"
_SIZES = {"SHA256": 16, "SHA384": 32}  # bytes of the key of AES, by the hash of the cipher suite


class RawTlsClient:
    """Connects to 127.0.0.1:``port`` with TLS 1.2 or 1.3; ``secrets`` is a file for the key log."""

    def __init__(
        self, port: int, context: ssl.SSLContext, secrets: Path, *, version: ssl.TLSVersion
    ) -> None:
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("ECDHE+AESGCM")
        context.keylog_filename = str(secrets)
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        received = b""
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(outgoing.read())
                piece = self.socket.recv(65536)
                received += piece
                incoming.write(piece)
        self.socket.sendall(outgoing.read())
        cipher = session.cipher()
        assert cipher is not None
        self._hash = "SHA384" if cipher[0].endswith("SHA384") else "SHA256"
        self._is_13 = version is ssl.TLSVersion.TLSv1_3
        lines = (line.split() for line in secrets.read_text().splitlines() if line[0] != "#")
        found = {label: (bytes.fromhex(nonce), bytes.fromhex(key)) for label, nonce, key in lines}
        self._sequence = 0
        if self._is_13:
            self._use(found["CLIENT_TRAFFIC_SECRET_0"][1])
            return
        client_random, master = found["CLIENT_RANDOM"]
        size = _SIZES[self._hash]
        seed = b"key expansion" + received[11:43] + client_random  # ServerHello.random
        block = self._expand_12(master, seed, 2 * size + 4)
        self._key, self._iv = AESGCM(block[:size]), block[2 * size :]
        self._sequence = 1  # Finished was 0

    def __enter__(self) -> "RawTlsClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def record(self, content: bytes, kind: int = APPLICATION_DATA) -> bytes:
        """The next record of this client, encrypted."""
        sequence, self._sequence = self._sequence.to_bytes(8), self._sequence + 1
        if self._is_13:
            length = (len(content) + 17).to_bytes(2)
            head = bytes((APPLICATION_DATA,)) + _LEGACY + length
            nonce = bytes(a ^ b for a, b in zip(self._iv, bytes(4) + sequence, strict=True))
            return head + self._key.encrypt(nonce, content + bytes((kind,)), head)
        about = sequence + bytes((kind,)) + _LEGACY + len(content).to_bytes(2)
        data = sequence + self._key.encrypt(self._iv + sequence, content, about)
        return bytes((kind,)) + _LEGACY + len(data).to_bytes(2) + data

    def key_update(self, *, requested: bool) -> bytes:
        """A KeyUpdate (RFC 8446 4.6.3); what follows is encrypted with new keys."""
        record = self.record(b"\x18\0\0\x01" + bytes((requested,)), HANDSHAKE)
        self._use(self._expand_13(self._secret, b"traffic upd", len(self._secret)))
        return record

    def _use(self, secret: bytes) -> None:
        self._secret, self._sequence = secret, 0
        self._key = AESGCM(self._expand_13(secret, b"key", _SIZES[self._hash]))
        self._iv = self._expand_13(secret, b"iv", 12)

    def _expand_13(self, secret: bytes, label: bytes, length: int) -> bytes:
        """HKDF-Expand-Label with no context (RFC 8446 7.1), of one block."""
        label = b"tls13 " + label
        info = length.to_bytes(2) + bytes((len(label),)) + label + b"\0\x01"
        return hmac.digest(secret, info, self._hash)[:length]

    def _expand_12(self, secret: bytes, seed: bytes, length: int) -> bytes:
        """The PRF of TLS 1.2 (RFC 5246 5)."""
        found, a = b"", seed
        while len(found) < length:
            a = hmac.digest(secret, a, self._hash)
            found += hmac.digest(secret, a + seed, self._hash)
        return found[:length]
