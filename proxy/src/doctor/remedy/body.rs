//! Bodies both ways.

use crate::doctor::finding::Remedy;

#[cfg(test)]
pub(super) const OF_BODIES: &[(&str, &Remedy)] = &[
    ("upload", &NO_UPLOAD),
    ("upload", &MAY_NOT_PUSH),
    ("location", &WRONG_SCHEME),
    ("location", &WRONG_PORT),
    ("location", &WRONG_HOST),
    ("location", &NO_LOCATION),
    ("methods", &METHOD_REFUSED),
    ("chunked", &NO_CHUNKS),
    ("continue", &NO_CONTINUE),
    ("body-size", &BODY_LIMIT),
    ("body-size", &NO_ROOM),
    ("body-size", &BODY_FAILS),
    ("buffering", &BUFFERED),
    ("buffering", &CHUNKS_BUFFERED),
    ("idle", &IDLE_TIME),
    ("push", &PUSH_FAILS),
    ("pull", &PULL_DIFFERS),
    ("pull", &PULL_FAILS),
    ("pull", &HEAD_DIFFERS),
    ("ranges", &NO_RANGES),
    ("cleanup", &LEFT_BEHIND),
    ("time", &TOO_LONG),
];

pub(in super::super) const NO_UPLOAD: Remedy = Remedy {
    means: "Clients cannot begin a push: POST to blobs/uploads/ is not answered by 202.",
    change: &[
        ("nginx", "no limit_except and no if ($request_method) for location /v2/"),
        ("Caddy", "no method matcher for /v2/*"),
        ("Traefik", "no Method(...) in the router's rule"),
        ("Lockgate", "the answer's message says why; docs/answers.md has each"),
    ],
};

pub(in super::super) const MAY_NOT_PUSH: Remedy = Remedy {
    means: "This user may not push to this repository.",
    change: &[
        ("registry:2", "401 here: give --user; a read-only registry refuses everybody"),
        ("Lockgate", "a grant with push; lockgate access USER push REPOSITORY says what is lacking"),
    ],
};

pub(in super::super) const WRONG_SCHEME: Remedy = Remedy {
    means: "docker says \"plain HTTP request was sent to HTTPS port\": the registry does not learn that clients came by https.",
    change: &[
        ("nginx", "proxy_set_header X-Forwarded-Proto $scheme;"),
        ("HAProxy", "http-request set-header X-Forwarded-Proto https"),
        ("Caddy", "no header_up X-Forwarded-Proto; trusted_proxies, where another proxy is before it"),
        ("Traefik", "forwardedHeaders.trustedIPs, where another proxy is before it"),
        ("registry:2", "http.relativeurls: true, or http.host"),
        ("Lockgate", "it makes every Location right: put it before the registry"),
    ],
};

pub(in super::super) const WRONG_PORT: Remedy = Remedy {
    means: "Clients go on at port 443, where somebody else or nobody is: the registry learns the host without its port.",
    change: &[
        ("nginx", "proxy_set_header Host $http_host; ($host has no port)"),
        ("Traefik", "passHostHeader: true, and no X-Forwarded-Port of others"),
        ("registry:2", "http.relativeurls: true, or http.host"),
        ("Lockgate", "it makes every Location right: put it before the registry"),
    ],
};

pub(in super::super) const WRONG_HOST: Remedy = Remedy {
    means: "Clients go on at an address that is private or not there: the registry does not learn by which name it was asked.",
    change: &[
        ("nginx", "proxy_set_header Host $http_host; in the same block as proxy_pass"),
        ("Caddy", "no header_up Host"),
        ("Traefik", "passHostHeader: true"),
        ("registry:2", "http.relativeurls: true, or http.host"),
        ("Lockgate", "it makes every Location right: put it before the registry"),
    ],
};

pub(in super::super) const NO_LOCATION: Remedy = Remedy {
    means: "Clients do not know where to send a layer: the 202 has no Location.",
    change: &[("nginx", "no proxy_hide_header Location;"), ("everywhere", "a WAF or CDN in between takes fields away")],
};

pub(in super::super) const METHOD_REFUSED: Remedy = Remedy {
    means: "Pulls work and pushes do not: a method is refused on the way.",
    change: &[
        ("nginx", "no limit_except and no if ($request_method) for location /v2/"),
        ("Caddy", "no method matcher for /v2/*"),
        ("Traefik", "no Method(...) in the router's rule"),
        ("WAF, CDN", "allow PATCH, PUT, HEAD and DELETE below /v2/"),
    ],
};

pub(in super::super) const NO_CHUNKS: Remedy = Remedy {
    means: "docker pushes each layer in chunks, without a length, and fails here.",
    change: &[
        ("nginx", "proxy_http_version 1.1; and 1.3.9 at least, which takes chunks"),
        ("WAF, CDN", "allow Transfer-Encoding: chunked in requests"),
        ("Lockgate", "it takes chunks: something before or behind it refuses them"),
    ],
};

pub(in super::super) const NO_CONTINUE: Remedy = Remedy {
    means: "Clients that ask first (Expect: 100-continue) wait a second for each body, or fail by 417.",
    change: &[
        ("nginx", "it answers by itself: something before it drops the field or the answer"),
        ("HAProxy", "it hands 100 on: no http-request del-header Expect"),
        ("Lockgate", "it answers by itself: something before it drops the field or the answer"),
    ],
};

pub(in super::super) const BODY_LIMIT: Remedy = Remedy {
    means: "docker says \"413 Request Entity Too Large\" or \"error parsing HTTP 413 response body\": layers are larger than what is let through.",
    change: &[
        ("nginx", "client_max_body_size 0; (1m where nothing is said)"),
        ("Caddy", "no request_body max_size for /v2/*"),
        ("Traefik", "no buffering.maxRequestBodyBytes"),
        ("CDN", "many have a limit of 100 MB that cannot be lifted: push to a name that does not go through it"),
        ("Lockgate", "it has no limit for layers; a [[quota]] or storage.min_free says so in its answer"),
    ],
};

pub(in super::super) const NO_ROOM: Remedy = Remedy {
    means: "The registry has no room for a layer of 10 GiB: pushes of large images will fail.",
    change: &[
        ("Lockgate", "docs/space.md: collect, retention, quota, storage.min_free"),
        ("registry:2", "registry garbage-collect, or a larger volume"),
    ],
};

pub(in super::super) const BODY_FAILS: Remedy = Remedy {
    means: "A layer of 8 MiB does not arrive: clients see a 5xx or \"connection reset\", and try again and again. Mostly a proxy keeps bodies on a disk that is full or not writable, or the registry's disk is full.",
    change: &[
        (
            "nginx",
            "proxy_request_buffering off; else room where client_body_temp_path is; error_log has \"No space left\" or \"Permission denied\"",
        ),
        ("Traefik", "no buffering middleware"),
        ("Lockgate", "it keeps nothing on a disk; of the registry within, 507 says that its disk is full"),
        ("registry:2", "its log has \"no space left on device\""),
    ],
};

pub(in super::super) const BUFFERED: Remedy = Remedy {
    means: "Each layer is written to the proxy's disk before the registry sees a byte: pushes take longer, and fail when that disk is full.",
    change: &[
        ("nginx", "proxy_request_buffering off; with proxy_http_version 1.1;"),
        ("Caddy", "no request_buffers"),
        ("Traefik", "no buffering middleware"),
        ("HAProxy", "no option http-buffer-request"),
    ],
};

pub(in super::super) const CHUNKS_BUFFERED: Remedy = Remedy {
    means: "Bodies with a length are handed on, and docker's, which come in chunks, are written to the proxy's disk first.",
    change: &[("nginx", "proxy_http_version 1.1; beside proxy_request_buffering off;")],
};

pub(in super::super) const IDLE_TIME: Remedy = Remedy {
    means: "An upload that rests for a moment, as on a slow line or disk, is broken off.",
    change: &[
        ("nginx", "client_body_timeout, proxy_send_timeout and proxy_read_timeout 60s; or more"),
        ("HAProxy", "timeout client and timeout server 60s or more"),
        (
            "Traefik",
            "respondingTimeouts.readTimeout = 0 on the entry point (60s where nothing is said, for a whole request)",
        ),
        ("Lockgate", "limits.body_timeout, upstream.write_timeout"),
    ],
};

pub(in super::super) const PUSH_FAILS: Remedy = Remedy {
    means: "An image cannot be pushed; the answer says at which step.",
    change: &[
        ("nginx", "PUT passes, and error_log says what it did"),
        ("registry:2", "its log has the reason; digest invalid means that bytes were changed on the way"),
        ("Lockgate", "docs/answers.md says what each answer means; a grant of create moves no tag"),
    ],
};

pub(in super::super) const PULL_DIFFERS: Remedy = Remedy {
    means: "Clients say \"failed to verify digest\": other bytes come back than were pushed.",
    change: &[
        ("nginx", "no sub_filter, no proxy_cache and no add_before_body for location /v2/"),
        ("WAF, CDN", "no rewriting and no cache of answers below /v2/ that ignores Authorization"),
    ],
};

pub(in super::super) const PULL_FAILS: Remedy = Remedy {
    means: "What was just pushed cannot be pulled.",
    change: &[
        ("nginx", "proxy_max_temp_file_size 0; where its disk is full; error_log says what it did"),
        ("everywhere", "a redirect goes to a store that clients must reach by https, too (storage.redirect)"),
        ("several nodes", "all of them have the same storage"),
    ],
};

pub(in super::super) const HEAD_DIFFERS: Remedy = Remedy {
    means: "Clients decide by HEAD what they have already: without length and digest they fetch or send everything again, or fail.",
    change: &[
        ("nginx", "proxy_cache_convert_head off; no gzip, and no proxy_hide_header for location /v2/"),
        ("WAF, CDN", "let HEAD, Content-Length and Docker-Content-Digest through"),
    ],
};

pub(in super::super) const NO_RANGES: Remedy = Remedy {
    means: "A pull that is cut off begins again from nothing, and lazy pulls fetch whole layers: Range is not heeded.",
    change: &[
        (
            "nginx",
            "proxy_set_header Range $http_range; where it is emptied, no proxy_force_ranges off with a cache, no max_ranges 0;",
        ),
        ("WAF, CDN", "let Range and Content-Range through"),
        ("Lockgate", "it hands ranges on: something before it drops them"),
    ],
};

pub(in super::super) const LEFT_BEHIND: Remedy = Remedy {
    means: "What was pushed for this examination stays; nothing else is wrong.",
    change: &[
        ("registry:2", "storage.delete.enabled: true, where deletes are wanted"),
        ("Lockgate", "storage.delete, and a grant of delete; retention removes tags by itself"),
    ],
};

pub(in super::super) const TOO_LONG: Remedy = Remedy {
    means: "Every step was within its time, or close to it, and all together took too long.",
    change: &[("everywhere", "see which line came last, and the log of what answers there")],
};
