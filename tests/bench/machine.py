"""What figures depend on besides the servers: the machine, and the interpreter."""

import platform
import sys
import sysconfig
from pathlib import Path

# In which variables of sysconfig the flags of the build are.
FLAGS = ("CONFIG_ARGS", "PY_CFLAGS_NODIST", "PY_CORE_LDFLAGS", "PY_LDFLAGS_NODIST")


def machine() -> str:
    """Processor, cores, memory and kernel."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    model = models[0] if models else platform.machine()
    kernel = platform.release().partition("-")[0]
    return f"{model}, {len(models)} cores, {memory:.0f} GiB, Linux {kernel}"


def python() -> str:
    """Implementation, version, compiler, who built it and how.

    What `optimised` does not tell is not said: Debian builds with both, and removes the flags from
    what sysconfig knows.
    """
    version = " ".join(sys.version.split())
    parts = [f"{platform.python_implementation()} {version}"]
    if sys.base_prefix == "/usr":
        parts.append(f"built by {platform.freedesktop_os_release()['PRETTY_NAME']}")
    flags = [str(sysconfig.get_config_var(name) or "") for name in FLAGS]
    if how := optimised(" ".join(flags)):
        parts.append(f"with {how}")
    return ", ".join(parts)


def optimised(flags: str) -> str:
    """What these flags of configure and of compilers tell for sure, as "PGO and LTO"."""
    words = flags.replace("'", " ").split()
    found = {
        "PGO": any(word.startswith(("--enable-optimizations", "-fprofile-use")) for word in words),
        "LTO": any(word.startswith(("--with-lto", "-flto")) for word in words),
    }
    return " and ".join(name for name, is_there in found.items() if is_there)
