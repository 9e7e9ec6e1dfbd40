"""uvicorn's lifespan, which keeps a failure for the arbiter; uvicorn would log it in each
worker."""

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


class _ErrorCapture(logging.LoggerAdapter[logging.Logger]):
    """Keeps uvicorn's errors as text; other lines become debug output."""

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
    """uvicorn's lifespan with the reason of a failed startup in ``failure``."""

    def __init__(self, config: "Config") -> None:
        super().__init__(config)
        self._said = ""
        self._keeper = _ErrorCapture(logging.getLogger("pyfork.error"))
        self.logger = self._keeper  # type: ignore[assignment]

    @property
    def failure(self) -> str:
        """The message of lifespan.startup.failed, or the traceback of an exception."""
        return self._said or self._keeper.kept

    @property
    def raised(self) -> BaseException | None:
        """The exception of startup, if there was one."""
        return self._keeper.raised

    async def send(self, message: "LifespanSendMessage") -> None:
        if message["type"].endswith(".failed"):
            self._said = str(message.get("message", ""))
        await super().send(message)
