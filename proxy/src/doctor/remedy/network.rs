//! DNS, TCP, TLS, certificates, clocks.

use crate::doctor::finding::Remedy;

#[cfg(test)]
pub(super) const OF_NETWORK: &[(&str, &Remedy)] = &[
    ("dns", &NO_ADDRESS),
    ("tcp", &NOBODY_THERE),
    ("tcp", &SOME_ADDRESSES),
    ("tls", &PLAIN_HTTP),
    ("tls", &NO_COMMON_VERSION),
    ("tls", &NO_HANDSHAKE),
    ("chain", &SELF_SIGNED),
    ("chain", &PRIVATE_AUTHORITY),
    ("chain", &MISSING_INTERMEDIATE),
    ("chain", &UNKNOWN_ISSUER),
    ("chain", &BAD_CERTIFICATE),
    ("name", &WRONG_NAME),
    ("name", &NO_NAMES),
    ("dates", &EXPIRED),
    ("dates", &NOT_VALID_YET),
    ("dates", &CLOCK_BEHIND_DATES),
    ("dates", &ENDS_SOON),
    ("clock", &CLOCK),
];

pub(in super::super) const NO_ADDRESS: Remedy = Remedy {
    means: "Clients say \"no such host\": the name has no address here.",
    change: &[("DNS", "add an A or AAAA record for the name, or a line in /etc/hosts of every client")],
};

pub(in super::super) const NOBODY_THERE: Remedy = Remedy {
    means: "Clients say \"connection refused\" or \"i/o timeout\": nothing listens there, or a firewall drops what comes.",
    change: &[
        ("nginx", "listen 443 ssl; on the address that the name has"),
        ("Lockgate", "listen.https: 127.0.0.1 is this machine only"),
        ("firewall", "let the port through, and publish it where a container listens"),
    ],
};

pub(in super::super) const SOME_ADDRESSES: Remedy = Remedy {
    means: "Clients that try this address first wait or fail; mostly it is IPv6 where nothing listens.",
    change: &[
        ("DNS", "remove the address's record"),
        ("nginx", "listen [::]:443 ssl; beside listen 443 ssl;"),
        ("Lockgate", "listen.https = \"[::]:443\" takes IPv4, too"),
    ],
};

pub(in super::super) const PLAIN_HTTP: Remedy = Remedy {
    means: "Clients say \"server gave HTTP response to HTTPS client\": this port speaks HTTP without TLS.",
    change: &[
        ("nginx", "listen 443 ssl; with ssl_certificate and ssl_certificate_key"),
        ("Caddy", "a site address without http://"),
        ("Traefik", "tls: {} on the router, and the entry point of https"),
        ("Lockgate", "give the port of listen.https; a registry behind it stays private"),
    ],
};

pub(in super::super) const NO_COMMON_VERSION: Remedy = Remedy {
    means: "Clients say \"protocol version not supported\" or \"handshake failure\": it offers neither TLS 1.2 nor 1.3 with a cipher of today.",
    change: &[
        ("nginx", "ssl_protocols TLSv1.2 TLSv1.3; and no ssl_ciphers of long ago"),
        ("Caddy", "remove protocols and ciphers from tls"),
        ("Traefik", "minVersion: VersionTLS12 in the TLS options"),
        ("Lockgate", "tls.versions = [\"1.2\", \"1.3\"]"),
    ],
};

pub(in super::super) const NO_HANDSHAKE: Remedy = Remedy {
    means: "Clients cannot speak TLS with what listens there.",
    change: &[
        ("nginx", "see error_log; a proxy_protocol on listen wants a header that clients do not send"),
        ("HAProxy", "accept-proxy on bind wants a header that clients do not send"),
        ("Lockgate", "listen.proxy_protocol is for the addresses of balancers only"),
    ],
};

pub(in super::super) const SELF_SIGNED: Remedy = Remedy {
    means: "Clients say \"x509: certificate signed by unknown authority\": it vouches for itself alone.",
    change: &[
        ("clients", "put it to /etc/docker/certs.d/HOST:PORT/ca.crt on each, and give it here as --ca"),
        (
            "Lockgate",
            "lockgate certs makes an authority and a certificate; docs/certificates.md says who wants it where",
        ),
    ],
};

pub(in super::super) const PRIVATE_AUTHORITY: Remedy = Remedy {
    means: "Clients say \"x509: certificate signed by unknown authority\": the authority is your own, and has to be made known.",
    change: &[(
        "clients",
        "put the authority's certificate to /etc/docker/certs.d/HOST:PORT/ca.crt on each, and give it here as --ca",
    )],
};

pub(in super::super) const MISSING_INTERMEDIATE: Remedy = Remedy {
    means: "Clients say \"x509: certificate signed by unknown authority\", while browsers get along: the server sends its own certificate without the intermediate one.",
    change: &[
        ("nginx", "ssl_certificate is the full chain (fullchain.pem), the server's own certificate first"),
        ("Caddy", "the first file of tls is the full chain"),
        ("Traefik", "certFile is the full chain"),
        ("Lockgate", "tls.certificate is the full chain; lockgate check tells of its order"),
    ],
};

pub(in super::super) const UNKNOWN_ISSUER: Remedy = Remedy {
    means: "Clients say \"x509: certificate signed by unknown authority\": the authority is your own, or an intermediate certificate is not sent.",
    change: &[
        (
            "clients",
            "of your own authority: its certificate to /etc/docker/certs.d/HOST:PORT/ca.crt on each, and here as --ca",
        ),
        ("nginx", "of a public one: ssl_certificate is the full chain (fullchain.pem)"),
        ("Lockgate", "of a public one: tls.certificate is the full chain"),
    ],
};

pub(in super::super) const BAD_CERTIFICATE: Remedy = Remedy {
    means: "Clients refuse a certificate of this chain, whoever issued it.",
    change: &[(
        "everywhere",
        "have it issued again, as a version 3 certificate for servers; openssl x509 -text shows it",
    )],
};

pub(in super::super) const WRONG_NAME: Remedy = Remedy {
    means: "Clients say \"x509: certificate is valid for ..., not ...\".",
    change: &[
        (
            "nginx",
            "server_name and ssl_certificate of the server block that answers; the first one answers for names that none has",
        ),
        ("Caddy", "the site's address is the name that clients use"),
        ("Traefik", "Host(...) of the router; TRAEFIK DEFAULT CERT says that none fits"),
        ("Lockgate", "lockgate certs DIR --renew --name HOST, or tls.additional with a certificate for the name"),
    ],
};

pub(in super::super) const NO_NAMES: Remedy = Remedy {
    means: "Clients say \"certificate relies on legacy Common Name field, use SANs instead\".",
    change: &[
        ("openssl", "-addext subjectAltName=DNS:HOST where the certificate is made"),
        ("Lockgate", "lockgate certs DIR --renew --name HOST"),
    ],
};

pub(in super::super) const EXPIRED: Remedy = Remedy {
    means: "Clients say \"x509: certificate has expired\".",
    change: &[
        ("nginx", "renew it, then nginx -s reload: it serves what it read at its start"),
        ("Caddy", "see its log for why a renewal failed"),
        ("Traefik", "see its log for why a renewal failed; acme.json must be writable"),
        ("Lockgate", "renew it; no restart is needed, and the log says what was read"),
    ],
};

pub(in super::super) const NOT_VALID_YET: Remedy = Remedy {
    means: "Clients say \"x509: certificate has expired or is not yet valid\".",
    change: &[("everywhere", "set the clock of the machine that made it, have it issued again, or wait")],
};

pub(in super::super) const CLOCK_BEHIND_DATES: Remedy = Remedy {
    means: "Only this machine refuses the certificate: by the server's clock it is valid, so this clock is wrong.",
    change: &[("this machine", "set its clock (timedatectl set-ntp true)")],
};

pub(in super::super) const ENDS_SOON: Remedy = Remedy {
    means: "It ends within 14 days, after which no client connects.",
    change: &[
        ("nginx", "renew it, then nginx -s reload"),
        ("Caddy", "see its log for why it was not renewed"),
        ("Traefik", "see its log for why it was not renewed"),
        ("Lockgate", "renew it; no restart is needed"),
    ],
};

pub(in super::super) const CLOCK: Remedy = Remedy {
    means: "Tokens count as expired or not yet valid, and certificates too: one of the two clocks is wrong.",
    change: &[("both machines", "timedatectl set-ntp true, and see timedatectl which of the two is off")],
};
