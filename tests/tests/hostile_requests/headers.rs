//! What a client says that only a proxy may say, and what concerns one connection only (RFC 9110, 7.6).

use super::case::Case;

pub(crate) const CASES: &[Case] = &[
    ("XFF", r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Forwarded-For: 10.9.9.9\r\n\r\n", "200 open"),
    (
        "XFF twice",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Forwarded-For: 10.9.9.9\r\nX-Forwarded-For: 10.9.9.8\r\n\r\n",
        "200 open",
    ),
    ("X-Real-IP", r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Real-IP: 10.9.9.9\r\n\r\n", "200 open"),
    ("XFH", r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Forwarded-Host: evil.test\r\n\r\n", "200 open"),
    (
        "XF port",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Forwarded-Port: 1\r\nX-Forwarded-Server: x\r\nX-Forwarded-Prefix: /x\r\n\r\n",
        "200 open",
    ),
    ("X-Forwarded-Proto http", r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Forwarded-Proto: http\r\n\r\n", "200 open"),
    ("Forwarded", r"GET /v2/ HTTP/1.1\r\n{H}{A}Forwarded: for=10.9.9.9;host=evil.test;proto=http\r\n\r\n", "200 open"),
    (
        "underscore alias",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}X_Forwarded_Proto: http\r\nX_Remote_User: root\r\n\r\n",
        "200 open",
    ),
    ("X-Remote-User", r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Remote-User: root\r\n\r\n", "200 open"),
    ("Remote-User", r"GET /v2/ HTTP/1.1\r\n{H}{A}Remote-User: root\r\nREMOTE_USER: root\r\n\r\n", "200 open"),
    ("mixed case", r"GET /v2/ HTTP/1.1\r\n{H}{A}x-ReMoTe-UsEr: root\r\n\r\n", "200 open"),
    ("dots", r"GET /v2/ HTTP/1.1\r\n{H}{A}X.Remote.User: root\r\n\r\n", "200 open"),
    (
        "Connection names our identity header",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: close, X-Remote-User\r\n\r\n",
        "200 closed | closed",
    ),
    (
        "Connection XFF",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: X-Forwarded-For, X-Forwarded-Proto\r\n\r\n",
        "400 closed",
    ),
    ("Connection Host", r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: Host\r\n\r\n", "400 closed"),
    (
        "Connection keep-alive many",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: {repeat 2000 a,}close\r\n\r\n",
        "400 closed",
    ),
    ("Connection high bytes", r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: close, \xff\r\n\r\n", "400 closed"),
    ("Connection cookie", r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: Cookie\r\nCookie: a=b\r\n\r\n", "200 open"),
    ("Connection TE", r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: Transfer-Encoding\r\n\r\n", "200 open"),
    ("Connection names Authorization", r"GET /v2/ HTTP/1.1\r\n{H}{A}Connection: Authorization\r\n\r\n", "200 open"),
    ("Keep-Alive", r"GET /v2/ HTTP/1.1\r\n{H}{A}Keep-Alive: timeout=5\r\nConnection: keep-alive\r\n\r\n", "200 open"),
    ("TE", r"GET /v2/ HTTP/1.1\r\n{H}{A}TE: trailers\r\nConnection: TE\r\n\r\n", "200 open"),
    ("Trailer", r"GET /v2/ HTTP/1.1\r\n{H}{A}Trailer: X-A\r\n\r\n", "200 open"),
    ("Proxy-Connection", r"GET /v2/ HTTP/1.1\r\n{H}{A}Proxy-Connection: keep-alive\r\n\r\n", "200 open"),
    ("TE no conn", r"GET /v2/ HTTP/1.1\r\n{H}{A}TE: trailers, deflate\r\n\r\n", "200 open"),
    (
        "Connection names Content-Length",
        r"POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{H}{A}Connection: Content-Length\r\nContent-Length: {lenC}\r\n\r\n{C}",
        "200 open",
    ),
    ("Proxy-Auth", r"GET /v2/ HTTP/1.1\r\n{H}{A}Proxy-Authorization: Basic abc\r\nProxy-Foo: x\r\n\r\n", "200 open"),
    (
        "Proxy-Authenticate",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Proxy-Authenticate: x\r\nProxy-Authentication-Info: y\r\n\r\n",
        "200 open",
    ),
    ("httpoxy", r"GET /v2/ HTTP/1.1\r\n{H}{A}Proxy: http://evil.test\r\n\r\n", "200 open"),
    (
        "X-Original-Method",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Original-Method: DELETE\r\nX-HTTP-Method: DELETE\r\nX-Method-Override: DELETE\r\n\r\n",
        "200 open",
    ),
    ("method override", r"GET /v2/ HTTP/1.1\r\n{H}{A}X-HTTP-Method-Override: DELETE\r\n\r\n", "200 open"),
    ("range on v2", r"GET /v2/ HTTP/1.1\r\n{H}{A}Range: bytes=0-0\r\n\r\n", "200 open"),
    ("Via", r"GET /v2/ HTTP/1.1\r\n{H}{A}Via: 1.1 x\r\n\r\n", "200 open"),
    ("Max-Forwards", r"GET /v2/ HTTP/1.1\r\n{H}{A}Max-Forwards: 0\r\n\r\n", "200 open"),
    ("HTTP2-Settings", r"GET /v2/ HTTP/1.1\r\n{H}{A}HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "200 open"),
    ("Content-Encoding", r"GET /v2/ HTTP/1.1\r\n{H}{A}Content-Encoding: gzip\r\n\r\n", "200 open"),
    (
        "Client-Ip",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Client-IP: 1.2.3.4\r\nTrue-Client-IP: 1.2.3.4\r\nX-Client-IP: 1\r\nCF-Connecting-IP: 1\r\n\r\n",
        "200 open",
    ),
    (
        "X-SSL",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}X-SSL-Client-Verify: SUCCESS\r\nX-Scheme: http\r\nFront-End-Https: on\r\n\r\n",
        "200 open",
    ),
];
