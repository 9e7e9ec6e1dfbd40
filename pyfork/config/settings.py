"""Every setting of pyfork.

The command line, the PYFORK_* variables, the file, --print-config and docs/settings.md all derive
from the declarations in `groups`. Flags carry gunicorn's names where gunicorn has the setting.
"""

from pyfork.config.declare import config, declarations
from pyfork.config.groups.application import ApplicationSettings
from pyfork.config.groups.development import DevelopmentSettings
from pyfork.config.groups.hooks import HookSettings
from pyfork.config.groups.http import HTTPSettings
from pyfork.config.groups.limits import LimitsSettings
from pyfork.config.groups.log import LogSettings
from pyfork.config.groups.port import PortSettings
from pyfork.config.groups.process import ProcessSettings
from pyfork.config.groups.script import ScriptSettings
from pyfork.config.groups.timeouts import TimeoutsSettings
from pyfork.config.groups.tls import TLSSettings
from pyfork.config.groups.websocket import WebSocketSettings
from pyfork.config.groups.workers import WorkersSettings


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
    HookSettings,
):
    """The value of every setting. Times are in seconds, sizes in bytes."""


SETTINGS = declarations(Config)
