//! Ways to what a caller has no right to: whole requests that are well-formed, by somebody who may pull one repository.

/// A row: its name and its bytes, written as in [`Case`](super::case::Case).
pub(crate) const ROWS: &[(&str, &str)] = &[
    ("another's manifest", r"GET /v2/other/manifests/v1 HTTP/1.1\r\n{H}{A}\r\n"),
    ("by HEAD", r"HEAD /v2/other/manifests/v1 HTTP/1.1\r\n{H}{A}\r\n"),
    ("below what is granted", r"GET /v2/sentinel/other/manifests/v1 HTTP/1.1\r\n{H}{A}\r\n"),
    ("another's tags", r"GET /v2/other/tags/list?n=1&last=x HTTP/1.1\r\n{H}{A}\r\n"),
    ("another's referrers", r"GET /v2/other/referrers/sha256:{repeat 64 a} HTTP/1.1\r\n{H}{A}\r\n"),
    ("another's blob", r"GET /v2/other/blobs/sha256:{repeat 64 a} HTTP/1.1\r\n{H}{A}Range: bytes=0-\r\n\r\n"),
    ("an extension", r"GET /v2/_oci/ext/discover HTTP/1.1\r\n{H}{A}\r\n"),
    ("the catalog with a slash", r"GET /v2/_catalog/ HTTP/1.1\r\n{H}{A}\r\n"),
    ("the extensions' way to write", r"POST /v2/_zot/ext/userprefs HTTP/1.1\r\n{H}{A}Content-Length: 0\r\n\r\n"),
    ("an absolute target", r"GET https://registry.test/v2/other/manifests/v1 HTTP/1.1\r\n{H}{A}\r\n"),
    ("HTTP/1.0", r"GET /v2/other/manifests/v1 HTTP/1.0\r\n{A}\r\n"),
    (
        "another repository in the query",
        r"GET /v2/other/manifests/v1?name=sentinel&repository=sentinel HTTP/1.1\r\n{H}{A}\r\n",
    ),
    (
        "an upload, by a form that names another place",
        r"POST /v2/other/blobs/uploads/ HTTP/1.1\r\n{H}{A}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\nfrom=x&_st=1",
    ),
    (
        "a mount from what is granted",
        r"POST /v2/other/blobs/uploads/?mount=sha256:{repeat 64 a}&from=sentinel HTTP/1.1\r\n{H}{A}Content-Length: 0\r\n\r\n",
    ),
    (
        "a whole blob",
        r"POST /v2/other/blobs/uploads/?digest=sha256:{repeat 64 a} HTTP/1.1\r\n{H}{A}Content-Length: 0\r\n\r\n",
    ),
    ("an upload's state", r"GET /v2/other/blobs/uploads/1 HTTP/1.1\r\n{H}{A}\r\n"),
    ("an upload's part", r"PATCH /v2/other/blobs/uploads/1 HTTP/1.1\r\n{H}{A}Content-Length: 1\r\n\r\nx"),
    (
        "an upload's end",
        r"PUT /v2/other/blobs/uploads/1?digest=sha256:{repeat 64 a} HTTP/1.1\r\n{H}{A}Content-Length: 0\r\n\r\n",
    ),
    ("an upload given up", r"DELETE /v2/other/blobs/uploads/1 HTTP/1.1\r\n{H}{A}\r\n"),
    ("a push", r"PUT /v2/other/manifests/v1 HTTP/1.1\r\n{H}{A}Content-Length: 2\r\n\r\n{}"),
    (
        "a push by digest with tags",
        r"PUT /v2/other/manifests/sha256:{repeat 64 a}?tag=v1&t%61g=v2 HTTP/1.1\r\n{H}{A}Content-Length: 0\r\n\r\n",
    ),
    ("a tag removed", r"DELETE /v2/other/manifests/v1 HTTP/1.1\r\n{H}{A}\r\n"),
    ("a blob removed", r"DELETE /v2/other/blobs/sha256:{repeat 64 a} HTTP/1.1\r\n{H}{A}\r\n"),
    (
        "GET that is to be another method",
        r"GET /v2/other/manifests/v1 HTTP/1.1\r\n{H}{A}X-HTTP-Method-Override: HEAD\r\nX-Original-URL: /v2/\r\n\r\n",
    ),
    (
        "a granted request, and another behind it",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}\r\nGET /v2/other/tags/list HTTP/1.1\r\n{H}{A}\r\n",
    ),
    (
        "two Authorization, of which the second is a token",
        r"GET /v2/other/tags/list HTTP/1.1\r\n{H}{A}Authorization: Bearer AQAA\r\n\r\n",
    ),
    (
        "a machine's token that was never made",
        r"GET /v2/other/tags/list HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:lkg_{repeat 8 a}_{repeat 33 a}}\r\n\r\n",
    ),
    (
        "a token that says that it is nobody's",
        r"GET /v2/other/tags/list HTTP/1.1\r\n{H}Authorization: Bearer {base64 \x01\x00\x00\x00\x00\x70\x70\x70\x70\x00\x03{repeat 34 x}}\r\n\r\n",
    ),
];
