"""Completion scripts for shells, made from the declarations: pyfork completion bash|zsh|fish.

What a script offers stands in it, so that a press of TAB starts no Python. Values are offered
where there are few (a metavar such as auto|on|off), files where a path is wanted; an application
is offered by the names of the modules here and one directory below.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from pyfork.config.command_line.getopt import CommandSpec, Option
from pyfork.config.command_line.help import first_sentence

_BASH = """\
# Completion of pyfork for bash: source it, or put it into bash-completion's directory.
_pyfork() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} verb= words= one
    COMPREPLY=()
    # --flag=value is three words here.
    if [ "$cur" = "=" ]; then cur=; fi
    if [ "$prev" = "=" ]; then prev=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
    if [ "$COMP_CWORD" -gt 1 ]; then
        case ${{COMP_WORDS[1]}} in {verbs}) verb=${{COMP_WORDS[1]}} ;; esac
    fi
    case $verb in "" | serve | run)
        case $prev in
{values}
        esac ;;
    esac
    case $verb in
{flags}
    esac
    case $cur in -*) ;; *)
        words=
        case $verb in
{operands}
        "" | serve)
            if [ "$COMP_CWORD" = 1 ]; then words="{names}"; fi
            one=${{cur//.//}}
            for one in "$one"*.py "$one"*/*.py; do
                case $one in
                *"*"* | *__*) ;;
                *) one=${{one%.py}} words="$words ${{one//\\//.}}" ;;
                esac
            done ;;
        run) _pyfork_files "$cur"; return ;;
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
_pyfork_files() {{
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$1"))
}}
complete -F _pyfork pyfork
"""

_ZSH = """\
#compdef pyfork
# Completion of pyfork for zsh: put it into a directory of $fpath as _pyfork, or source it.
_pyfork_modules() {{
    local -a found
    found=(*.py(N:r) */*.py(N:r))
    found=(${{${{found:#*__*}}//\\//.}})
    compadd -a found
}}
_pyfork_first() {{
    local -a verbs
    verbs=(
{names}
    )
    _describe command verbs
    _pyfork_modules
}}
_pyfork() {{
    local verb
    local -a serving
    serving=(
{serving}
    )
    (( CURRENT > 2 )) && verb=$words[2]
    case $verb in
    ({verbs}) shift words; (( CURRENT-- )) ;;
    esac
    case $verb in
    (serve) _arguments -s $serving '1: :_pyfork_modules' ;;
    (run) _arguments -s $serving '1: :_files -g "*.py"' '*: :_files' ;;
{cases}
    (*) _arguments -s $serving '1: :_pyfork_first' ;;
    esac
}}
if [ "$funcstack[1]" = _pyfork ]; then _pyfork "$@"; else compdef _pyfork pyfork; fi
"""

_FISH = """\
# Completion of pyfork for fish: put it into ~/.config/fish/completions/pyfork.fish, or source it.
function __pyfork_modules
    for one in *.py */*.py
        string match -q '*__*' $one; or string replace -a / . (string replace -r '\\.py$' '' $one)
    end
end
complete -c pyfork -f
complete -c pyfork -n '__fish_use_subcommand; or __fish_seen_subcommand_from serve' \
-a '(__pyfork_modules)'
complete -c pyfork -n '__fish_seen_subcommand_from run' -F
{lines}
"""


def script(shell: str, options: Sequence[Option], verbs: Sequence[CommandSpec]) -> str:
    """The script for ``shell``, a key of SHELLS.

    Args:
        options: those without a command, and of serve and run.
        verbs: the commands.
    """
    return SHELLS[shell](options, verbs)


def _choices(option: Option) -> list[str]:
    """The values that are known, in ``auto|N``: those that are not capitals."""
    return [word for word in option.metavar.split("|") if word and word == word.lower()]


def _wants_file(option: Option) -> bool:
    return option.metavar in ("PATH", "FILE")


def _flags(option: Option) -> tuple[str, ...]:
    return (*option.flags, *([option.off] if option.off else []))


def _written(options: Iterable[Option]) -> str:
    return " ".join(flag for option in options for flag in _flags(option))


def _own(verbs: Iterable[CommandSpec]) -> list[CommandSpec]:
    """Those with options of their own: not serve and run."""
    return [verb for verb in verbs if verb.options or verb.words]


def _bash(options: Sequence[Option], verbs: Sequence[CommandSpec]) -> str:
    values, silent = [], []
    for option in options:
        spelled = " | ".join(option.flags)
        if words := " ".join(_choices(option)):
            reply = f'COMPREPLY=($(compgen -W "{words}" -- "$cur"))'
            values.append(f"        {spelled}) {reply}; return ;;")
        elif _wants_file(option):
            values.append(f'        {spelled}) _pyfork_files "$cur"; return ;;')
        elif option.metavar:
            silent.append(spelled)
    values.append(f"        {' | '.join(silent)}) return ;;")
    flags = [f'    {verb.name}) words="{_written(verb.options)}" ;;' for verb in _own(verbs)]
    flags.append(f'    *) words="{_written(options)}" ;;')
    operands = [
        f'        {verb.name}) words="{" ".join(verb.words)}" ;;' for verb in verbs if verb.words
    ]
    return _BASH.format(
        verbs=" | ".join(verb.name for verb in verbs),
        names=" ".join(verb.name for verb in verbs),
        values="\n".join(values),
        flags="\n".join(flags),
        operands="\n".join(operands),
    )


def _zsh(options: Sequence[Option], verbs: Sequence[CommandSpec]) -> str:
    def quoted(text: str) -> str:
        return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")

    def specs(option: Option) -> Iterable[str]:
        others = "*" if option.repeat else f"({' '.join(_flags(option))})"
        for flag in _flags(option):
            action = ""
            if option.metavar and flag != option.off:
                flag += "=" if flag.startswith("--") else "+"
                offer = f"({' '.join(_choices(option))})" if _choices(option) else " "
                offer = "_files" if _wants_file(option) else offer
                action = f":{quoted(option.metavar)}:{offer}"
            yield f"        '{others}{flag}[{quoted(first_sentence(option.help))}]{action}'"

    cases = []
    for verb in _own(verbs):
        lines = [line.strip() for option in verb.options for line in specs(option)]
        if verb.words:
            lines.append(f"'1: :({' '.join(verb.words)})'")
        cases.append(f"    ({verb.name}) _arguments -s {' '.join(lines)} ;;")
    names = [f"        '{verb.name}:{quoted(first_sentence(verb.help))}'" for verb in verbs]
    return _ZSH.format(
        names="\n".join(names),
        serving="\n".join(line for option in options for line in specs(option)),
        verbs="|".join(verb.name for verb in verbs),
        cases="\n".join(cases),
    )


def _fish(options: Sequence[Option], verbs: Sequence[CommandSpec]) -> str:
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def lines(option: Option, when: str) -> Iterable[str]:
        start = f"complete -c pyfork -n '{when}'"
        told = f"-d {quoted(first_sentence(option.help))}"
        spelled = " ".join(
            f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
        )
        value = ""
        if option.metavar:
            value = (
                f" -x -a '{' '.join(_choices(option))}'" if not _wants_file(option) else " -r -F"
            )
        yield f"{start} {spelled}{value} {told}"
        if option.off:
            yield f"{start} -l {option.off[2:]} {told}"

    own = _own(verbs)
    serving = f"not __fish_seen_subcommand_from {' '.join(verb.name for verb in own)}"
    written = [
        f"complete -c pyfork -n __fish_use_subcommand -a {verb.name} "
        f"-d {quoted(first_sentence(verb.help))}"
        for verb in verbs
    ]
    written += [line for option in options for line in lines(option, serving)]
    for verb in own:
        seen = f"__fish_seen_subcommand_from {verb.name}"
        written += [line for option in verb.options for line in lines(option, seen)]
        if verb.words:
            written.append(f"complete -c pyfork -n '{seen}' -a '{' '.join(verb.words)}'")
    return _FISH.format(lines="\n".join(written))


SHELLS: dict[str, Callable[[Sequence[Option], Sequence[CommandSpec]], str]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
