"""Where h11 reads what our parser refuses, or refuses it with another status; and who is right.

By the request: the status of h11's refusal (None: it has none), how many requests of a test were
served by then, counting one before it, and the rule of the RFC.
"""

from tests.http.corpus import CHUNKED, get

Difference = tuple[int | None, int, str]

FOLD = "both: 9112 5.2, a server refuses a fold or replaces it by SP"
ONE_LENGTH = "both: 9110 8.6, equal lengths are refused or taken for one"
NOT_FINAL = "ours: 9112 6.3(4), 400 where chunked is not the final coding; h11: 501 for all others"
EXTENSION = "ours: 9112 7.1.1, the grammar of extensions; h11 skips whatever stands behind ;"
BLANK = "ours: 9112 7.1, no blank behind a chunk size; h11 takes it, as others send it"
LONG = "neither: 9112 7.1.1 wants a limit; h11's is that of all extensions of a content"
LATE = "neither: h11's is the limit of what has come, ours of what is announced"
TRAILER_END = "both: 9112 2.2, a recipient may take a single LF for a line end; ours does not"

DIFFERENCES: dict[bytes, Difference] = {
    get(b"Name: x\r\n y\r\n"): (None, 3, FOLD),
    get(b"Name: x\r\n\ty\r\n"): (None, 3, FOLD),
    get(b"Name:\r\n x\r\n"): (None, 3, FOLD),
    get(b"Name: x\r\n \r\n"): (None, 3, FOLD),
    CHUNKED + b"0\r\nName: x\r\n y\r\n\r\n": (None, 3, FOLD),
    # The next request begins within the content that was announced.
    get(b"Content-Length: 5, 5\r\n"): (400, 2, ONE_LENGTH),
    get(b"Content-Length: 5\r\nContent-Length: 5\r\n"): (400, 2, ONE_LENGTH),
    CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n": (None, 3, BLANK),
    CHUNKED + b"5;\r\nhello\r\n0\r\n\r\n": (None, 3, EXTENSION),
    CHUNKED + b"5;a\0=b\r\nhello\r\n0\r\n\r\n": (None, 3, EXTENSION),
    CHUNKED + b'5;a="\r\nhello\r\n0\r\n\r\n': (None, 3, EXTENSION),
    CHUNKED + b"5;a=" + b"b" * 1100 + b"\r\nhello\r\n0\r\n\r\n": (None, 3, LONG),
    CHUNKED + b"0\r\nName: " + b"x" * 9000 + b"\r\n\r\n": (None, 3, LONG),
    CHUNKED + b"0\r\n\n": (None, 3, TRAILER_END),
    CHUNKED + b"10000000000000001\r\n": (None, 1, LATE),
    CHUNKED + b"40000001\r\n": (None, 1, LATE),
    get(b"Transfer-Encoding: gzip\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: chunked, gzip\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: chunked, chunked\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: \x80chunked\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: xchunked\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: chunked;a=b\r\n"): (501, 1, NOT_FINAL),
    get(b'Transfer-Encoding: "chunked"\r\n'): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding:\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: chunked,\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: , chunked\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: ,,chunked\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: chunked, \t\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n"): (501, 1, NOT_FINAL),
    get(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: \r\n"): (501, 1, NOT_FINAL),
}
