//! What answers, and in which language.

use crate::doctor::finding::Remedy;

#[cfg(test)]
pub(super) const OF_REGISTRIES: &[(&str, &Remedy)] = &[
    ("api", &NO_ANSWER),
    ("api", &WEB_PAGE),
    ("api", &REDIRECT),
    ("api", &NOT_FOUND),
    ("api", &NOT_REACHED),
    ("api", &FORBIDDEN),
    ("api", &OTHER_ANSWER),
    ("api-version", &NO_API_VERSION),
    ("challenge", &NO_CHALLENGE),
    ("challenge", &UNKNOWN_CHALLENGE),
    ("challenge", &REALM_NOT_HTTPS),
    ("challenge", &REALM_UNREACHABLE),
    ("challenge", &NEVER_ASKED),
    ("login", &REFUSED),
    ("login", &AUTHORIZATION_LOST),
    ("errors", &HTML_ERRORS),
    ("errors", &NO_ERRORS),
    ("compression", &COMPRESSED),
];

pub(in super::super) const NO_ANSWER: Remedy = Remedy {
    means: "Clients say \"EOF\" or \"timeout\": TLS stands, and no answer comes.",
    change: &[
        ("nginx", "see error_log; proxy_pass http://... and not https://... to a registry without TLS"),
        ("HAProxy", "mode http where it ends TLS"),
        ("Lockgate", "see its log, and lockgate check"),
    ],
};

pub(in super::super) const WEB_PAGE: Remedy = Remedy {
    means: "Clients say \"invalid character '<' looking for beginning of value\": a web site or a login page answers in the place of the registry.",
    change: &[
        (
            "nginx",
            "location /v2/ { proxy_pass http://REGISTRY; } in the server block of this name, without auth_request",
        ),
        ("Caddy", "reverse_proxy /v2/* REGISTRY, without forward_auth before it"),
        ("Traefik", "a router for Host(...) && PathPrefix(`/v2/`) without the middleware forwardAuth"),
        ("Lockgate", "let it be asked directly: it checks passwords itself, which clients can send"),
    ],
};

pub(in super::super) const REDIRECT: Remedy = Remedy {
    means: "Clients do not log in on web pages, and other hosts get no password: /v2/ leads elsewhere.",
    change: &[
        ("nginx", "no return 301 and no auth_request for location /v2/"),
        ("Caddy", "no redir and no forward_auth for /v2/*"),
        ("Traefik", "no forwardAuth and no redirectRegex for PathPrefix(`/v2/`)"),
        ("Lockgate", "let it be asked directly: it checks passwords itself, which clients can send"),
    ],
};

pub(in super::super) const NOT_FOUND: Remedy = Remedy {
    means: "Clients say \"404 page not found\" or \"repository does not exist\": /v2/ does not arrive at the registry as /v2/.",
    change: &[
        ("nginx", "location /v2/ { proxy_pass http://REGISTRY; } without a path, not even a /, after REGISTRY"),
        ("Caddy", "handle, not handle_path, and no uri strip_prefix"),
        ("Traefik", "no stripPrefix"),
        ("Lockgate", "upstream.url without a path"),
    ],
};

pub(in super::super) const NOT_REACHED: Remedy = Remedy {
    means: "What is in front answers, and the registry behind it does not.",
    change: &[
        (
            "nginx",
            "proxy_pass with the registry's address as this machine or container sees it; error_log says which one it tried",
        ),
        ("Caddy", "the address after reverse_proxy; its log has \"dial\""),
        ("Traefik", "loadBalancer.servers, or the label loadbalancer.server.port"),
        ("Lockgate", "upstream.url; its log has the reason"),
    ],
};

pub(in super::super) const FORBIDDEN: Remedy = Remedy {
    means: "Clients say \"403 Forbidden\" before they could log in: a rule in front knows addresses or clients, not users.",
    change: &[
        ("nginx", "allow and deny, and what a WAF refuses"),
        ("Caddy", "remote_ip matchers"),
        ("Traefik", "ipAllowList"),
        ("Lockgate", "it answers 401 here: what says 403 stands before it"),
    ],
};

pub(in super::super) const OTHER_ANSWER: Remedy = Remedy {
    means: "A registry answers /v2/ by 200 or 401, and clients take nothing else for one.",
    change: &[("everywhere", "see the log of what answers; Server names it")],
};

pub(in super::super) const NO_API_VERSION: Remedy = Remedy {
    means: "Older clients take it for no registry of version 2: Docker-Distribution-Api-Version: registry/2.0 is lost on the way.",
    change: &[
        (
            "nginx",
            "add_header Docker-Distribution-Api-Version registry/2.0 always; where auth_basic answers, and no proxy_hide_header for it",
        ),
        ("Caddy", "no header_down -Docker-Distribution-Api-Version"),
        ("Traefik", "no customResponseHeaders that empties it"),
        ("Lockgate", "it says so in every answer: something before it takes it away"),
    ],
};

pub(in super::super) const NO_CHALLENGE: Remedy = Remedy {
    means: "Clients cannot log in (\"no basic auth credentials\"): the 401 does not say how (WWW-Authenticate).",
    change: &[
        ("nginx", "no proxy_hide_header WWW-Authenticate; an error_page for 401 must keep it"),
        ("Caddy", "no header_down -WWW-Authenticate"),
        ("Traefik", "no errors middleware for 401"),
        (
            "Lockgate",
            "it leaves it out for browsers only (Sec-Fetch-Mode): something before it adds that, or takes the field away",
        ),
    ],
};

pub(in super::super) const UNKNOWN_CHALLENGE: Remedy = Remedy {
    means: "Container clients know Basic and Bearer only.",
    change: &[("everywhere", "let the registry, or Lockgate, check passwords")],
};

pub(in super::super) const REALM_NOT_HTTPS: Remedy = Remedy {
    means: "Clients would send the password without TLS, or refuse to: the realm of the token server is no https URL.",
    change: &[
        ("nginx", "proxy_set_header X-Forwarded-Proto $scheme; and proxy_set_header Host $http_host;"),
        ("registry:2", "auth.token.realm is the public https URL of the token server"),
        ("Lockgate", "auth.public_url, where a balancer before it rewrites Host"),
    ],
};

pub(in super::super) const REALM_UNREACHABLE: Remedy = Remedy {
    means: "Clients cannot fetch a token: the token server that the realm names does not answer as one.",
    change: &[
        ("nginx", "proxy_set_header Host $http_host; and pass the realm's path on, too, not /v2/ alone"),
        ("registry:2", "auth.token.realm is the public https URL of the token server"),
        ("Lockgate", "pass /token on, too; auth.public_url, where a balancer before it rewrites Host"),
    ],
};

pub(in super::super) const NEVER_ASKED: Remedy = Remedy {
    means: "Clients never send a password where /v2/ is 200 without one: the login has no effect, and everybody has these rights.",
    change: &[
        ("nginx", "auth_basic for all of location /v2/"),
        (
            "Lockgate",
            "it answers 401: what answers here is not Lockgate, or something before it sends a password for everybody",
        ),
    ],
};

pub(in super::super) const REFUSED: Remedy = Remedy {
    means: "Clients say \"unauthorized\": the name or the password is wrong.",
    change: &[
        ("nginx", "auth_basic_user_file is the file that was changed; a hash counts that the system's crypt(3) knows"),
        ("Lockgate", "lockgate htpasswd FILE USER sets it; a token may have ended (lockgate token list)"),
    ],
};

pub(in super::super) const AUTHORIZATION_LOST: Remedy = Remedy {
    means: "Clients say \"unauthorized\" with the right password: the answer is the same as without one. Either it is wrong, or Authorization is lost on the way.",
    change: &[
        ("nginx", "proxy_set_header Authorization $http_authorization; where a value is set or emptied"),
        ("Caddy", "no header_up -Authorization"),
        ("Traefik", "basicAuth without removeHeader, or no basicAuth"),
        ("Lockgate", "upstream.forward_authorization, where the registry behind it is to check passwords"),
    ],
};

pub(in super::super) const HTML_ERRORS: Remedy = Remedy {
    means: "Clients say \"invalid character '<'\" and do not see that something is missing: pages for people stand in the place of the registry's errors.",
    change: &[
        ("nginx", "no proxy_intercept_errors on; and no error_page for location /v2/"),
        ("Caddy", "no handle_errors and no handle_response for /v2/*"),
        ("Traefik", "no errors middleware for PathPrefix(`/v2/`)"),
        ("Lockgate", "its refusals are JSON: something before it replaces them"),
    ],
};

pub(in super::super) const NO_ERRORS: Remedy = Remedy {
    means: "A missing manifest ought to be 404 (or 401, 403) with JSON that has errors; clients cannot tell what is wrong.",
    change: &[("everywhere", "see the log of the registry and of what is before it for this request")],
};

pub(in super::super) const COMPRESSED: Remedy = Remedy {
    means: "Clients miss Content-Length, and some compare the digest of the compressed bytes: the proxy compresses the registry's answers.",
    change: &[
        ("nginx", "gzip off; for location /v2/"),
        ("Caddy", "no encode for /v2/*"),
        ("Traefik", "no compress middleware for PathPrefix(`/v2/`)"),
        ("Lockgate", "it never compresses: something before it does"),
    ],
};
