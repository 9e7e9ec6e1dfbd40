"""The page of what is wrong. One document: nothing in it comes from anywhere else.

Everything that is not written here is escaped. The page asks for its own address until the answer
is no page of this fault, and then loads it.
"""

import re
from collections.abc import Iterable, Iterator
from html import escape

from pyfork.dev.errors.report import ErrorReport, Frame

_KEYWORDS = (
    "and as assert async await break case class continue def del elif else except finally for from "
    "global if import in is lambda match nonlocal not or pass raise return try while with yield "
    "None True False"
)
_TOKEN = re.compile(
    r"(?P<comment>\#.*)"
    r"|(?P<string>[rbfuRBFU]{0,2}(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))"
    rf"|(?P<keyword>\b(?:{'|'.join(_KEYWORDS.split())})\b)"
    r"|(?P<number>\b[0-9][\w.]*\b)"
)

_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d1b19; --quiet: #6f6a64; --rule: #e7e3dd;
  --red: #c62f2b; --hit: #fdecea; --string: #2b7a3d; --keyword: #8a3fa8; --number: #a25a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161514; --card: #1e1d1b; --ink: #ece8e2; --quiet: #9a948b; --rule: #33302c;
    --red: #ff7b72; --hit: #3a201f; --string: #8fce9b; --keyword: #d8a6ee; --number: #f0b672;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif;
}
main { max-width: 56rem; margin: 0 auto; padding: 3.5rem 1.5rem 4rem; }
h1 { margin: 0; font-size: 1rem; font-weight: 600; color: var(--red); }
.message {
  margin: .2rem 0 0; font-size: 1.7rem; line-height: 1.25; font-weight: 650;
  letter-spacing: -.015em; overflow-wrap: anywhere; white-space: pre-wrap;
}
.state { display: flex; gap: .65rem; align-items: baseline; margin: 1.1rem 0 2.2rem; }
.state, .about { color: var(--quiet); }
.about { margin: .5rem 0 0; overflow-wrap: anywhere; }
.dot {
  flex: none; width: .55rem; height: .55rem; border-radius: 50%; background: var(--red);
  animation: breathe 2s ease-in-out infinite;
}
@keyframes breathe { 50% { opacity: .25; } }
@media (prefers-reduced-motion: reduce) { .dot { animation: none; } }
h2 { margin: 2.2rem 0 .8rem; font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
h2 span { color: var(--quiet); font-weight: 400; }
figure {
  margin: 0 0 1rem; background: var(--card); border: 1px solid var(--rule);
  border-radius: .6rem; overflow: hidden;
}
figcaption {
  padding: .6rem 1rem; border-bottom: 1px solid var(--rule); font-size: .875rem;
  overflow-wrap: anywhere;
}
figcaption span { color: var(--quiet); }
pre, code { font: .84rem/1.65 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { margin: 0; padding: .6rem 0; overflow-x: auto; tab-size: 4; }
figure code { display: block; width: max-content; min-width: 100%; padding: 0 1rem 0 0; }
figure code::before {
  content: attr(data-line); display: inline-block; width: 3.4rem; padding-right: 1rem;
  text-align: right; color: var(--quiet); opacity: .7; user-select: none;
}
.hit { background: var(--hit); box-shadow: inset .2rem 0 var(--red); }
.hit::before { color: var(--red) !important; opacity: 1 !important; }
.string { color: var(--string); } .keyword { color: var(--keyword); }
.number { color: var(--number); } .comment { color: var(--quiet); font-style: italic; }
details { margin-top: 2rem; border-top: 1px solid var(--rule); padding-top: 1rem; }
summary { cursor: pointer; color: var(--quiet); }
summary:hover { color: var(--ink); }
details pre { white-space: pre-wrap; overflow-wrap: anywhere; }
figcaption a { color: inherit; }
.carets { color: var(--red); }
.variables, .request { width: 100%; border-collapse: collapse; font-size: .84rem; }
.variables th, .request th { text-align: left; vertical-align: top; font-weight: 600; }
.variables th, .request th { padding: .15rem 1rem; white-space: nowrap; width: 1%; }
.variables td, .request td { padding: .15rem 1rem .15rem 0; overflow-wrap: anywhere; }
.variables td { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
figure details { margin: 0; padding: .6rem 1rem; font-size: .875rem; }
button {
  font: inherit; font-size: .875rem; color: inherit; background: var(--card); cursor: pointer;
  border: 1px solid var(--rule); border-radius: .4rem; padding: .3rem .8rem;
}
footer { margin-top: 2.5rem; font-size: .85rem; color: var(--quiet); }
@media (max-width: 34rem) {
  main { padding: 1.75rem 1rem 2.5rem; }
  .message { font-size: 1.3rem; }
  .state { margin-bottom: 1.5rem; }
  figure { margin-inline: -1rem; border-radius: 0; border-inline: 0; }
  figure code::before { width: 2.7rem; padding-right: .7rem; }
}
"""

_SCRIPT = """
const {fault, header, method} = document.documentElement.dataset;
const state = document.getElementById("state");
const said = state.textContent;
async function look() {
  try {
    const asked = {method: "HEAD", cache: "no-store", redirect: "manual"};
    const answer = await fetch(location.href, asked);
    const away = answer.status >= 502 && answer.status <= 504;
    if (!away && answer.headers.get(header) !== fault) {
      if (method === "GET") location.reload();
      else location.replace(location.pathname + location.search);
      return;
    }
    state.textContent = said;
  } catch {
    state.textContent = "The server does not answer. This page waits for it.";
  }
  setTimeout(look, 400);
}
setTimeout(look, 400);
"""


_COPY = """
const button = document.getElementById("copy");
button.addEventListener("click", async () => {
  await navigator.clipboard.writeText(document.getElementById("text").textContent);
  button.textContent = "Copied";
});
if (!navigator.clipboard) button.remove();
"""


def policy(nonce: str) -> str:
    """The Content-Security-Policy: this page's own style and script, and nothing else."""
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'self' 'nonce-{nonce}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def render(fault: ErrorReport, *, method: str, nonce: str, header: str) -> str:
    """The document. ``header``: the field of an answer that has the fault's id."""
    title = _title(fault)
    method = "GET" if method in ("GET", "HEAD") else method
    script = _SCRIPT if fault.request is None else ""
    script += _COPY if fault.traceback else ""
    return (
        "<!doctype html>\n"
        f'<html lang="en" data-fault="{fault.id}" data-header="{header}" '
        f'data-method="{escape(method)}">\n'
        '<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f'<style nonce="{nonce}">{_STYLE}</style>\n'
        f"<main>\n{_head(fault)}{_body(fault)}"
        "<footer>Shown by pyfork because of --reload. Without it, clients see nothing of this."
        "</footer>\n</main>\n"
        f'<script nonce="{nonce}">{script}</script>\n</html>\n'
    )


def _title(fault: ErrorReport) -> str:
    if not fault.chain:
        return f"{fault.app} does not load"
    first = fault.chain[0]
    return f"{first.kind}: {first.message}" if first.message else first.kind


def _head(fault: ErrorReport) -> str:
    if fault.request is not None:
        return _request_head(fault)
    about = f"{fault.app} does not load"
    reason = fault.reason.removeprefix(f"cannot load {fault.app}: ")
    kind, message, state, more = about, reason, "", ""
    if fault.chain:
        first = fault.chain[0]
        kind, message, state = first.kind, first.message or reason, f"{about}. "
        if first.message not in reason:  # it says something that Python does not
            more = f'<p class="about">{escape(reason)}</p>\n'
    return (
        f"<h1>{escape(kind)}</h1>\n"
        f'<p class="message">{escape(message)}</p>\n{more}'
        '<p class="state"><span class="dot"></span><span id="state">'
        f"{escape(state)}Mend it and save: this page reloads by itself.</span></p>\n"
    )


def _request_head(fault: ErrorReport) -> str:
    first = fault.chain[0]
    return (
        f"<h1>{escape(first.kind)}</h1>\n"
        f'<p class="message">{escape(first.message or first.kind)}</p>\n'
        f'<p class="state">{escape(fault.app)} failed.</p>\n'
    )


def _body(fault: ErrorReport) -> str:
    parts = []
    for number, raised in enumerate(fault.chain):
        if number:
            message = f"<span>{escape(raised.message)}</span>"
            parts.append(f"<h2>Before that: {escape(raised.kind)} {message}</h2>\n")
        parts += map(_figure, raised.frames)
    if fault.request is not None:
        parts.append(f"<h2>Request</h2>\n{_table('request', fault.request.shown())}")
    if fault.traceback:
        whole = escape(fault.traceback)
        parts.append(
            "<details><summary>The whole traceback, libraries included</summary>"
            '<p><button id="copy">Copy as text</button></p>'
            f'<pre id="text">{whole}</pre></details>\n'
        )
    return "".join(parts)


def _table(kind: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    return f'<table class="{kind}">{cells}</table>\n'


def _figure(frame: Frame) -> str:
    within = f" in {escape(frame.function)}" if frame.function not in ("", "<module>") else ""
    caption = f"{escape(frame.path)}<span>, line {frame.line}{within}</span>"
    if frame.link:
        caption = f'<a href="{escape(frame.link)}">{caption}</a>'
    lines = "".join(_lines(frame))
    code = f"<pre>{lines}</pre>" if lines else ""
    local = ""
    if frame.variables:
        table = _table("variables", frame.variables)
        local = f"<details><summary>Variables</summary>{table}</details>"
    return f"<figure><figcaption>{caption}</figcaption>{code}{local}</figure>\n"


def _lines(frame: Frame) -> Iterator[str]:
    """The source, and carets below the expression that failed."""
    for number, text in frame.source:
        hit = number == frame.line
        mark = ' class="hit"' if hit else ""
        yield f'<code data-line="{number}"{mark}>{_coloured(text)}</code>'
        begin, end = frame.columns
        if hit and begin < end <= len(text):
            blank = "".join(each if each == "\t" else " " for each in text[:begin])
            yield f'<code data-line="" class="carets">{blank}{"^" * (end - begin)}</code>'


def _coloured(text: str) -> str:
    """One line of Python. All of it is there, and escaped, under any pattern."""
    parts, end = [], 0
    for match in _TOKEN.finditer(text):
        parts.append(escape(text[end : match.start()]))
        parts.append(f'<span class="{match.lastgroup}">{escape(match[0])}</span>')
        end = match.end()
    return "".join([*parts, escape(text[end:])]) or " "
