"""uvicorn's lifespan, with its failure kept for the arbiter instead of logged by each worker."""

import logging
import os
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from pyfork.loader import tracebacks

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.lifespan.on import LifespanSendMessage

_UVICORN = os.path.dirname(uvicorn.__file__) + os.sep


class _Keeper(logging.LoggerAdapter[logging.Logger]):
    """Takes uvicorn's lines: errors are kept as text, the rest is debug output."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger)
        self.kept = ""
        self.raised: BaseException | None = None

    def log(self, level: int, msg: object, *args: object, **kwargs: object) -> None:
        if level < logging.ERROR:
            self.logger.debug(msg, *args)
            return
        error = kwargs.get("exc_info")
        if isinstance(error, BaseException):
            self.raised = error
            self.kept = tracebacks.app_traceback(error, also=_UVICORN)


class UvicornLifespan(LifespanOn):
    """``failure`` is the application's own account of why startup failed."""

    def __init__(self, config: "Config") -> None:
        super().__init__(config)
        self._said = ""
        self._keeper = _Keeper(logging.getLogger("pyfork.error"))
        self.logger = self._keeper  # type: ignore[assignment]

    @property
    def failure(self) -> str:
        """The message of lifespan.startup.failed, or the traceback of what was raised."""
        return self._said or self._keeper.kept

    @property
    def raised(self) -> BaseException | None:
        """What startup raised, if it did."""
        return self._keeper.raised

    async def send(self, message: "LifespanSendMessage") -> None:
        if message["type"].endswith(".failed"):
            self._said = str(message.get("message", ""))
        await super().send(message)
