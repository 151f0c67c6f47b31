//! Where a body ends, and with it where the next request begins (RFC 9112, 6 and 7).

use super::case::Case;

pub(crate) const CASES: &[Case] = &[
    (
        "CL+TE, CL first",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5c\r\n{C}\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE+CL, TE first (TE.CL)",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n{C}\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "CL.0",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{C}",
        "400 closed",
    ),
    (
        "two equal Content-Length",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        "400 closed",
    ),
    (
        "two differing CL",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "400 closed",
    ),
    (
        "Content-Length list, differing",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 2, 3\r\n\r\nabc",
        "400 closed",
    ),
    ("CL list equal", r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 2, 2\r\n\r\nab", "400 closed"),
    (
        "negative Content-Length",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: -1\r\n\r\n",
        "400 closed",
    ),
    ("CL plus", r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: +2\r\n\r\nab", "400 closed"),
    ("empty Content-Length", r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: \r\n\r\n{C}", "400 closed"),
    ("CL hex", r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 0x2\r\n\r\nab", "400 closed"),
    (
        "Content-Length with inner space",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 1 0\r\n\r\n0123456789",
        "400 closed",
    ),
    (
        "CL overflow",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 18446744073709551618\r\n\r\nab",
        "400 closed",
    ),
    (
        "CL huge digits",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: {repeat 400 9}\r\n\r\nab",
        "400 closed",
    ),
    (
        "CL i64 overflow",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 9223372036854775808\r\n\r\nab{fin}",
        "400 closed",
    ),
    (
        "leading zeros in Content-Length are decimal",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 010\r\n\r\n0123456789",
        "200 open",
    ),
    (
        "CL trailing space tab",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 2 \t\r\n\r\nab",
        "200 open",
    ),
    ("CL semicolon", r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 2;a\r\n\r\nab", "400 closed"),
    (
        "CL underscore digit",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 1_0\r\n\r\n0123456789",
        "400 closed",
    ),
    (
        "CL fullwidth",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: \xef\xbc\x92\r\n\r\nab",
        "400 closed",
    ),
    ("CL decimal point", r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 2.0\r\n\r\nab", "400 closed"),
    (
        "empty CL then real CL",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: \r\nContent-Length: 59\r\n\r\n{C}",
        "400 closed",
    ),
    (
        "TE identity",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab",
        "400 closed",
    ),
    (
        "TE identity alone",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: identity\r\n\r\n",
        "400 closed",
    ),
    (
        "TE gzip, chunked",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE chunked, gzip",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE chunked, chunked",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE chunked, identity",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE chunked twice",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE Chunked upper",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: CHUNKED\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "200 open",
    ),
    (
        "TE xchunked",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE chunkedx",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE vtab",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE quoted",
        r#"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n"#,
        "400 closed",
    ),
    (
        "TE param",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    ("TE empty", r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: \r\n\r\n0\r\n\r\n", "400 closed"),
    (
        "TE empty and CL",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding:\r\nContent-Length: 2\r\n\r\nab",
        "400 closed",
    ),
    (
        "TE trailing comma",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE cow",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE chunked then cow",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE tab before value",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding:\tchunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "200 open",
    ),
    (
        "TE NUL",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE ',chunked' + CL",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: ,chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "space before colon TE",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "tab before colon CL",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length\t: 5\r\n\r\nhello",
        "400 closed",
    ),
    (
        "underscore alias TE",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        "200 open",
    ),
    (
        "underscore alias CL",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content_Length: 5\r\nContent-Length: 2\r\n\r\nab",
        "200 open",
    ),
    (
        "TE value on a folded line",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "obs fold other header",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        "400 closed",
    ),
    (
        "obs fold tab",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}X-A: b\r\n\tContent-Length: 3\r\nContent-Length: 0\r\n\r\n",
        "400 closed",
    ),
    (
        "TE chunked on HTTP/1.0",
        r"POST /v2/a/blobs/uploads/ HTTP/1.0\r\n{H}{A}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{C}",
        "400 closed",
    ),
    (
        "TE on 1.0, CL too",
        r"POST /v2/a/blobs/uploads/ HTTP/1.0\r\n{H}{A}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    ("1.0 POST no length", r"POST /v2/a/blobs/uploads/ HTTP/1.0\r\n{H}{A}\r\n{C}", "200 closed | closed"),
    (
        "split header name",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-\r\nEncoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "CR in name",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-\rEncoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        "400 closed",
    ),
    (
        "bare CR in value",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        "400 closed",
    ),
    (
        "chunk size 0x2",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk size negative",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk size plus",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n+2\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk size underscore",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n0_2\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk size empty",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk size overflows u64",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk leading zeros many",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n{repeat 100 0}2\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk size huge valid",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nab{fin}",
        "400 closed",
    ),
    (
        "chunk 2^63",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nab{fin}",
        "closed",
    ),
    (
        "chunk 2^64 exactly overflow to 2",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "space before chunk size",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n   2\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "space after chunk size",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2 \r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "tab before chunk",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n\t2\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk size line ended by bare LF",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk data not followed by CRLF",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\n{C}",
        "400 closed",
    ),
    (
        "chunk data terminated by LF",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nab\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "final chunk bare LF",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\n\n",
        "400 closed",
    ),
    (
        "chunk ext with LF",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2;a\nbb\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk ext bare CR",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2;a\rb\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk ext NUL",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2;a\x00b\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk last data overrun",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "CR CR inside chunk line",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n{C}",
        "400 closed",
    ),
    (
        "long chunk ext",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2;{repeat 70000 a}\r\nab\r\n0\r\n\r\n",
        "400 closed",
    ),
    (
        "chunk ext ok",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2;name=value\r\nab\r\n0\r\n\r\n",
        "200 open",
    ),
    (
        "1e5 1-byte chunks",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n{repeat 20000 1\r\na\r\n}0\r\n\r\n",
        "200 open",
    ),
    (
        "trailers try to set Host/Authorization/CL",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nContent-Length: 40\r\nHost: evil.test\r\nX-Remote-User: root\r\n\r\n",
        "200 open",
    ),
    (
        "trailers 64K",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n{repeat 3000 X-Aaaaaaaaaaaaaaaa: b\r\n}\r\n",
        "400 closed",
    ),
    (
        "trailer malformed",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nfoo\r\n\r\n",
        "400 closed",
    ),
    (
        "trailer then pipelined",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n{C}",
        "200 401 open",
    ),
    (
        "trailer bare LF",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\nZ: 1\r\n\r\n",
        "400 closed",
    ),
    (
        "missing last chunk then FIN",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n{fin}",
        "closed",
    ),
    ("CL body cut", r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Length: 10\r\n\r\nabc{fin}", "closed"),
    (
        "chunk cut in size line",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n{fin}",
        "closed",
    ),
    (
        "chunk cut in data",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\nff\r\nab{fin}",
        "closed",
    ),
    (
        "unauthenticated body holds a full authorised request (CL)",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}Content-Length: 111\r\n\r\nGET /v2/canary/manifests/x HTTP/1.1\r\n{H}{A}\r\n",
        "401 closed",
    ),
    (
        "unauth chunked holds request",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n6f\r\nGET /v2/canary/manifests/x HTTP/1.1\r\n{H}{A}\r\n\r\n0\r\n\r\n",
        "401 closed",
    ),
    (
        "unauth GET with body holding request",
        r"GET /v2/ HTTP/1.1\r\n{H}Content-Length: 111\r\n\r\nGET /v2/canary/manifests/x HTTP/1.1\r\n{H}{A}\r\n",
        "401 closed",
    ),
    (
        "legacy client body",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}User-Agent: docker/1.3\r\nContent-Length: 111\r\n\r\nGET /v2/canary/manifests/x HTTP/1.1\r\n{H}{A}\r\n",
        "404 closed",
    ),
    (
        "404 path with body",
        r"POST /x HTTP/1.1\r\n{H}{A}Content-Length: 111\r\n\r\nGET /v2/canary/manifests/x HTTP/1.1\r\n{H}{A}\r\n",
        "404 closed",
    ),
    (
        "bad route with body",
        r"POST /v2/A/manifests/x HTTP/1.1\r\n{H}{A}Content-Length: 111\r\n\r\nGET /v2/canary/manifests/x HTTP/1.1\r\n{H}{A}\r\n",
        "400 closed",
    ),
    (
        "Upgrade: foo with a pipelined second request",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: Upgrade\r\nUpgrade: foo\r\n\r\n{C}",
        "200 401 open",
    ),
    (
        "Upgrade websocket",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "200 open",
    ),
    ("Upgrade no connection", r"GET /v2/ HTTP/1.1\r\n{H}{A}Upgrade: foo\r\n\r\n", "200 open"),
    (
        "h2c upgrade",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        "200 open",
    ),
    ("Expect unknown", r"GET /v2/ HTTP/1.1\r\n{H}{A}Expect: foo\r\n\r\n", "200 open"),
    ("Expect 100 no body", r"GET /v2/ HTTP/1.1\r\n{H}{A}Expect: 100-continue\r\n\r\n", "200 open"),
    (
        "Expect 100 with body",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
        "200 open",
    ),
    (
        "Expect 100 unauth with body",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}Expect: 100-continue\r\nContent-Length: 111\r\n\r\nGET /v2/canary/manifests/x HTTP/1.1\r\n{H}{A}\r\n",
        "401 closed",
    ),
    (
        "Expect on 1.0",
        r"POST /v2/a/blobs/uploads/ HTTP/1.0\r\n{H}{A}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
        "200 closed | closed",
    ),
    (
        "Expect twice",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
        "200 open",
    ),
    (
        "obfuscated Expect with withheld body",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Expect: y 100-continue\r\nContent-Length: {lenC}\r\n\r\n{C}",
        "200 open",
    ),
    ("HEAD with body", r"HEAD /v2/ HTTP/1.1\r\n{H}{A}Content-Length: {lenC}\r\n\r\n{C}", "200 open"),
    (
        "DELETE with body",
        r"DELETE /v2/a/manifests/sha256:{repeat 64 a} HTTP/1.1\r\n{H}{A}Content-Length: {lenC}\r\n\r\n{C}",
        "200 open",
    ),
    ("GET chunked", r"GET /v2/ HTTP/1.1\r\n{H}{A}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200 open"),
    (
        "GET with body, then same connection",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Content-Length: 5\r\n\r\nhello{C}",
        "200 401 open",
    ),
    ("TRACE", r"TRACE /v2/ HTTP/1.1\r\n{H}{A}\r\n", "501 closed"),
    ("TRACE with body", r"TRACE /v2/ HTTP/1.1\r\n{H}{A}Content-Length: 2\r\n\r\nab", "501 closed"),
];
