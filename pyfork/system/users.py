"""Users and groups of this machine."""


def user_id(user: str) -> int:
    """The id of a user's name, or of a number. Raises KeyError: no such name."""
    if user.isdecimal():
        return int(user)
    import pwd

    return pwd.getpwnam(user).pw_uid


def group_id(group: str) -> int:
    """The id of a group's name, or of a number. Raises KeyError: no such name."""
    if group.isdecimal():
        return int(group)
    import grp

    return grp.getgrnam(group).gr_gid
