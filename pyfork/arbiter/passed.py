"""What becomes of the sockets that the service manager passed."""

import logging
import socket
from collections.abc import Mapping

from pyfork.errors import BindError
from pyfork.net.address import Inherited, parse
from pyfork.net.bind import bind, bound_address

log = logging.getLogger("pyfork.error")


def account_for(
    passed: Mapping[str, str], listeners: Mapping[str, socket.socket], scheme: str
) -> None:
    """Log which of the ``passed`` sockets serve; close the others, or their clients would wait."""
    for text, name in passed.items():
        if text in listeners:
            url = bound_address(listeners[text]).url(scheme)
            log.info("systemd passed %s (%s): %s", text, name, url)
            continue
        log.warning("systemd passed %s (%s), which no --bind names: it is closed", text, name)
        address = parse(text)
        assert isinstance(address, Inherited)
        try:
            bind(address, backlog=0).close()
        except BindError as error:
            log.debug("it stays open: %s", error)
