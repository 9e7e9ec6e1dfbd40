"""Every setting of pyfork.

The command line, the PYFORK_* variables, the file, --print-config and docs/settings.md are derived
from the declarations in `settings`. Flags have gunicorn's names if gunicorn has the setting.
"""

from pyfork.config.settings.application import ApplicationSettings
from pyfork.config.settings.declare import config, declarations
from pyfork.config.settings.development import DevelopmentSettings
from pyfork.config.settings.hooks import HookSettings
from pyfork.config.settings.http import HTTPSettings
from pyfork.config.settings.limits import LimitsSettings
from pyfork.config.settings.log import LogSettings
from pyfork.config.settings.port import PortSettings
from pyfork.config.settings.process import ProcessSettings
from pyfork.config.settings.script import ScriptSettings
from pyfork.config.settings.status import StatusSettings
from pyfork.config.settings.timeouts import TimeoutsSettings
from pyfork.config.settings.tls import TLSSettings
from pyfork.config.settings.websocket import WebSocketSettings
from pyfork.config.settings.workers import WorkersSettings


@config
class Config(
    ApplicationSettings,
    PortSettings,
    WorkersSettings,
    ScriptSettings,
    TimeoutsSettings,
    DevelopmentSettings,
    TLSSettings,
    HTTPSettings,
    WebSocketSettings,
    LimitsSettings,
    ProcessSettings,
    LogSettings,
    StatusSettings,
    HookSettings,
):
    """The value of every setting. Times are in seconds, sizes in bytes."""


SETTINGS = declarations(Config)
