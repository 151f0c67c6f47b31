//! Who is let in (RFC 7617).

use super::case::Case;

pub const CASES: &[Case] = &[
    ("no credentials", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}\r\n", "? A01"),
    (
        "wrong password",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:wrong}\r\n\r\n",
        "? A02",
    ),
    (
        "unknown user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 mallory:x}\r\n\r\n",
        "? A03",
    ),
    (
        "two Authorization, bad then good",
        r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:wrong}\r\n{A}\r\n",
        "? A04",
    ),
    ("two Authorization same", r"GET /v2/ HTTP/1.1\r\n{H}{A}{A}\r\n", "? A05"),
    ("two good then bad", r"GET /v2/ HTTP/1.1\r\n{H}{A}Authorization: Basic {base64 alice:wrong}\r\n\r\n", "? A05b"),
    ("Bearer", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Bearer abc\r\n\r\n", "? A06"),
    ("Digest", r#"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Digest username="alice"\r\n\r\n"#, "? A07"),
    ("Basic alone", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic\r\n\r\n", "? A07b"),
    ("empty", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: \r\n\r\n", "? A07c"),
    (
        "BasicX",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: BasicYWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n\r\n",
        "? A07d",
    ),
    ("lower basic", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: basic {base64 alice:correct-horse}\r\n\r\n", "? A07e"),
    ("two spaces", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic  {base64 alice:correct-horse}\r\n\r\n", "? A07f"),
    ("tab", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic\t{base64 alice:correct-horse}\r\n\r\n", "? A07g"),
    ("invalid base64", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic !!!!\r\n\r\n", "? A08"),
    ("no padding", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ\r\n\r\n", "? A09"),
    ("urlsafe chars", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic --__\r\n\r\n", "? A09b"),
    (
        "space in base64",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic YWxpY2U6 Y29ycmVjdC1ob3JzZQ==\r\n\r\n",
        "? A09c",
    ),
    (
        "extra padding",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ====\r\n\r\n",
        "? A09d",
    ),
    ("no colon", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice}\r\n\r\n", "? A09e"),
    (
        "empty password",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:}\r\n\r\n",
        "? A09f",
    ),
    ("both empty", r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 :}\r\n\r\n", "? A09g"),
    (
        "empty user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 :correct-horse}\r\n\r\n",
        "? A10",
    ),
    (
        "72+ truncation",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 long:{repeat 72 a}}\r\n\r\n",
        "? A11",
    ),
    (
        "long right",
        r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 long:{repeat 72 a}aaaaaaaa}\r\n\r\n",
        "? A11b",
    ),
    (
        "long wrong tail",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 long:{repeat 72 a}bbbbbbbb}\r\n\r\n",
        "? A11c",
    ),
    (
        "NUL after the right password",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:correct-horse\x00junk}\r\n\r\n",
        "? A12",
    ),
    (
        "NUL in user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice\x00:correct-horse}\r\n\r\n",
        "? A13",
    ),
    (
        "NUL prefix pw",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:\x00correct-horse}\r\n\r\n",
        "? A13b",
    ),
    ("password with a colon", r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 colon:a:b}\r\n\r\n", "? A14"),
    (
        "utf8 user",
        r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 j\xc3\xbcrg:\xc3\xa9t\xc3\xa9}\r\n\r\n",
        "? A15",
    ),
    (
        "latin1 user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 j\xfcrg:\xe9t\xe9}\r\n\r\n",
        "? A15b",
    ),
    (
        "CR LF in the user name",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice\r\nFAKE 200 GET /:x}\r\n\r\n",
        "? A16",
    ),
    (
        "huge Authorization",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:{repeat 20000 x}}\r\n\r\n",
        "? A17",
    ),
    (
        "user long",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 {repeat 5000 u}:x}\r\n\r\n",
        "? A17b",
    ),
    (
        "trailing bytes after base64",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:correct-horse}, x\r\n\r\n",
        "? A18",
    ),
    (
        "nohash user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 nohash:}\r\n\r\n",
        "? A19",
    ),
    (
        "nohash any",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 nohash:x}\r\n\r\n",
        "? A19b",
    ),
    (
        "plain hash",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 plain:text}\r\n\r\n",
        "? A19c",
    ),
    (
        "plain hash field",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 plain:plain}\r\n\r\n",
        "? A19d",
    ),
    (
        "user named in a comment line",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 #carol:carol}\r\n\r\n",
        "? A20",
    ),
    (
        "case of user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 Alice:correct-horse}\r\n\r\n",
        "? A21",
    ),
    (
        "space user",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice :correct-horse}\r\n\r\n",
        "? A21b",
    ),
    (
        "newline pw",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:correct-horse\n}\r\n\r\n",
        "? A21c",
    ),
    (
        "user with colon encoded",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 alice%3acorrect-horse:}\r\n\r\n",
        "? A21d",
    ),
    (
        "user whose hash has cost 31",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization: Basic {base64 cost31:x}\r\n\r\n",
        "? A22",
    ),
    (
        "Proxy-Authorization",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Proxy-Authorization: Basic {base64 alice:correct-horse}\r\n\r\n",
        "? A23",
    ),
    ("auth in query", r"GET /v2/canary/manifests/x?access_token=abc HTTP/1.1\r\n{H}\r\n", "? A23b"),
    (
        "X-Forwarded-User",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}X-Remote-User: alice\r\nX-Forwarded-User: alice\r\n\r\n",
        "? A23c",
    ),
    (
        "X-Original-URL",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}X-Original-URL: /v2/canary\r\nX-Rewrite-URL: /v2/canary\r\n\r\n",
        "? A23d",
    ),
    (
        "underscore auth",
        r"GET /v2/canary/manifests/x HTTP/1.1\r\n{H}Authorization_: x\r\nauthorization_: y\r\n\r\n",
        "? A23e",
    ),
    (
        "good request then one without credentials on the same connection",
        r"GET /v2/ HTTP/1.1\r\n{H}{A}\r\nGET /v2/canary/manifests/x HTTP/1.1\r\n{H}\r\n",
        "? A24",
    ),
    (
        "bad then good pipelined",
        r"GET /v2/ HTTP/1.1\r\n{H}Authorization: Basic {base64 alice:wrong}\r\n\r\nGET /v2/ HTTP/1.1\r\n{H}{A}\r\n",
        "? A25",
    ),
];
