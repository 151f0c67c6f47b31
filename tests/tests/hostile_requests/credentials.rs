//! Who is let in (RFC 7617).

use super::case::Case;

pub(crate) const CASES: &[Case] = &[
    ("no credentials", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}\r\n", "401 open"),
    (
        "wrong password",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:wrong}\r\n\r\n",
        "401 open",
    ),
    (
        "unknown user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 mallory:x}\r\n\r\n",
        "401 open",
    ),
    (
        "two Authorization, bad then good",
        r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:wrong}\r\n{A}\r\n",
        "400 closed",
    ),
    ("two Authorization same", r"GET /v2/ HTTP/1.1\r\n{H}{A}{A}\r\n", "400 closed"),
    (
        "two good then bad",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}Authorization: Basic {base64 alice:wrong}\r\n\r\n",
        "400 closed",
    ),
    ("Bearer", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Bearer abc\r\n\r\n", "401 open"),
    (
        "Digest",
        r#"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Digest username="alice"\r\n\r\n"#,
        "401 open",
    ),
    ("Basic alone", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic\r\n\r\n", "401 open"),
    ("empty", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: \r\n\r\n", "401 open"),
    (
        "BasicX",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: BasicYWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n\r\n",
        "401 open",
    ),
    ("lower basic", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: basic {base64 alice:correct-horse}\r\n\r\n", "200 open"),
    ("two spaces", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic  {base64 alice:correct-horse}\r\n\r\n", "200 open"),
    ("tab", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic\t{base64 alice:correct-horse}\r\n\r\n", "401 open"),
    ("invalid base64", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic !!!!\r\n\r\n", "401 open"),
    ("no padding", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ\r\n\r\n", "401 open"),
    ("urlsafe chars", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic --__\r\n\r\n", "401 open"),
    (
        "space in base64",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic YWxpY2U6 Y29ycmVjdC1ob3JzZQ==\r\n\r\n",
        "401 open",
    ),
    (
        "extra padding",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ====\r\n\r\n",
        "401 open",
    ),
    ("no colon", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice}\r\n\r\n", "401 open"),
    (
        "empty password",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:}\r\n\r\n",
        "401 open",
    ),
    ("both empty", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 :}\r\n\r\n", "401 open"),
    (
        "empty user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 :correct-horse}\r\n\r\n",
        "401 open",
    ),
    (
        "72 of 80 bytes, which is all that bcrypt hashed",
        r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 long72:{repeat 72 a}}\r\n\r\n",
        "200 open",
    ),
    (
        "long right",
        r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 long72:{repeat 72 a}aaaaaaaa}\r\n\r\n",
        "401 open",
    ),
    (
        "long wrong tail",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 long72:{repeat 72 a}bbbbbbbb}\r\n\r\n",
        "401 open",
    ),
    (
        "NUL after the right password",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:correct-horse\x00junk}\r\n\r\n",
        "401 open",
    ),
    (
        "NUL in user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice\x00:correct-horse}\r\n\r\n",
        "401 open",
    ),
    (
        "NUL prefix pw",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:\x00correct-horse}\r\n\r\n",
        "401 open",
    ),
    ("password with a colon", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 colon:a:b}\r\n\r\n", "200 open"),
    (
        "utf8 user",
        r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 j\xc3\xbcrg:\xc3\xa9t\xc3\xa9}\r\n\r\n",
        "200 open",
    ),
    (
        "latin1 user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 j\xfcrg:\xe9t\xe9}\r\n\r\n",
        "401 open",
    ),
    (
        "CR LF in the user name",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice\r\nFAKE 200 GET /:x}\r\n\r\n",
        "401 open",
    ),
    (
        "huge Authorization",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:{repeat 20000 x}}\r\n\r\n",
        "401 open",
    ),
    (
        "user long",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 {repeat 5000 u}:x}\r\n\r\n",
        "401 open",
    ),
    (
        "trailing bytes after base64",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:correct-horse}, x\r\n\r\n",
        "401 open",
    ),
    (
        "nohash user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 nohash:}\r\n\r\n",
        "401 open",
    ),
    (
        "nohash any",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 nohash:x}\r\n\r\n",
        "401 open",
    ),
    (
        "plain hash",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 plain:text}\r\n\r\n",
        "401 open",
    ),
    (
        "plain hash field",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 plain:plain}\r\n\r\n",
        "401 open",
    ),
    (
        "user named in a comment line",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 #carol:carol}\r\n\r\n",
        "401 open",
    ),
    (
        "case of user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 Alice:correct-horse}\r\n\r\n",
        "401 open",
    ),
    (
        "space user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice :correct-horse}\r\n\r\n",
        "401 open",
    ),
    (
        "newline pw",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:correct-horse\n}\r\n\r\n",
        "401 open",
    ),
    (
        "user with colon encoded",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice%3acorrect-horse:}\r\n\r\n",
        "401 open",
    ),
    (
        "user whose hash has cost 31",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 cost31:x}\r\n\r\n",
        "401 open",
    ),
    (
        "Proxy-Authorization",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Proxy-Authorization: Basic {base64 alice:correct-horse}\r\n\r\n",
        "401 open",
    ),
    ("auth in query", r"GET /v2/canary/manifests/x?access_token=abc HTTP/1.1\r\n{H}\r\n", "401 open"),
    (
        "X-Forwarded-User",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}X-Remote-User: alice\r\nX-Forwarded-User: alice\r\n\r\n",
        "401 open",
    ),
    (
        "X-Original-URL",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Original-URL: /v2/canary\r\nX-Rewrite-URL: /v2/canary\r\n\r\n",
        "200 open",
    ),
    (
        "underscore auth",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization_: x\r\nauthorization_: y\r\n\r\n",
        "401 open",
    ),
    (
        "good request then one without credentials on the same connection",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}\r\nGET /v2/canary/manifests/x HTTP/1.1\r\n{H}\r\n",
        "200 401 open",
    ),
    (
        "bad then good pipelined",
        r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:wrong}\r\n\r\nGET /v2/ HTTP/1.1\r\n{H}{A}\r\n",
        "401 200 open",
    ),
];
