"""User, group and umask of a worker: --user, --group, --umask. The arbiter keeps its own."""

import os

from pyfork.config.config import Config
from pyfork.errors import BootError
from pyfork.system.users import group_id


def drop_privileges(config: Config) -> None:
    """Become the configured user and group. Raises BootError if that is not possible."""
    if config.umask is not None:
        os.umask(config.umask)
    if config.user is None and config.group is None:
        return
    uid, gid, name = _identities(config.user, config.group)
    if (uid, gid) == (os.geteuid(), os.getegid()):
        return
    try:
        if name is not None:
            os.initgroups(name, gid)
        else:
            os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
    except PermissionError as error:
        raise BootError(
            "--user and --group: only root can change its user; start pyfork as root, "
            "or leave them out"
        ) from error


def _identities(user: str | None, group: str | None) -> tuple[int, int, str | None]:
    """Return user id, group id and login name (None if there is none) of names or numbers."""
    import pwd

    uid, gid, name = os.geteuid(), os.getegid(), None
    if user is not None:
        try:
            entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
            uid, gid, name = entry.pw_uid, entry.pw_gid, entry.pw_name
        except KeyError:
            if not user.isdecimal():
                raise BootError(f"--user: there is no user {user!r}") from None
            uid = int(user)
    if group is not None:
        try:
            gid = group_id(group)
        except KeyError:
            raise BootError(f"--group: there is no group {group!r}") from None
    return uid, gid, name
