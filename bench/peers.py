"""The proxies under measurement: Lockgate, and what people run in its place.

All have the same certificate, the same users and the same upstream, and each writes its line for a request to a
file, as all of them do when they are installed as a service.
"""

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from load import USER
from servers import Server, free_port, lockgate_program

# Of the Debian packages: (program, package).
PACKAGES = {"nginx-best": ("nginx", "nginx-light"), "nginx-default": ("nginx", "nginx-light"),
            "haproxy": ("haproxy", "haproxy"), "caddy": ("caddy", "caddy")}


@dataclass(frozen=True)
class Site:
    """What a proxy is put in front of, and with what."""

    place: Path
    certificate: Path
    key: Path
    upstream: int
    # Pairs of user and bcrypt hash. None: nobody is asked for a password.
    users: tuple | None

    def write(self, name, text):
        path = self.place / name
        path.write_text(text)
        return path

    def htpasswd(self):
        return self.write("htpasswd", "".join(f"{user}:{hashed}\n" for user, hashed in self.users))


def lockgate(site, port, program="lockgate", more=""):
    config = site.write("lockgate.toml", f"""
listen.https = "127.0.0.1:{port}"
tls = {{ certificate = "{site.certificate}", key = "{site.key}" }}
auth.htpasswd = "{site.htpasswd()}"
upstream.url = "http://127.0.0.1:{site.upstream}"
# All clients have one address here.
limits.connections_per_address = 0
{more}
""")
    return [lockgate_program(program), "serve", "--config", config]


def lockgate_with_rights(site, port, grants, program="lockgate"):
    """The same, with so many grants, the last of which is the one that asks for, and tokens."""
    others = "".join(f"[[grant]]\nto = 'authenticated'\nrepositories = 'team-{number}/**'\nallow = 'push'\n"
                     for number in range(1, grants))
    access = site.write("access.toml", f"{others}[[grant]]\nto = 'user:{USER}'\nrepositories = 'bench/**'\nallow = 'push'\n")
    key = site.place / "token.key"
    subprocess.run([lockgate_program(program), "token-key", key], check=True, capture_output=True)
    return lockgate(site, port, program, f'auth.access = "{access}"\nauth.token_key = "{key}"')


def lockgate_up(site, port, program="lockgate"):
    """The whole registry in one process, with its data below the site's place."""
    for name, content in {"certs/domain.crt": site.certificate, "certs/domain.key": site.key,
                          "conf/htpasswd": site.htpasswd()}.items():
        (site.place / name).parent.mkdir(exist_ok=True)
        shutil.copy(content, site.place / name)
    return [lockgate_program(program), "up", "--listen", f"127.0.0.1:{port}", "--dir", site.place]


# One worker, since the proxy has one processor: `auto`, as Debian has it, counts those of the machine.
NGINX = """
{root_user}
worker_processes 1; daemon off; pid {place}/nginx.pid; error_log {place}/nginx.error.log;
worker_rlimit_nofile 20000; events {{ worker_connections {connections}; }}
http {{
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  default_type application/octet-stream; sendfile on; tcp_nopush on;
  {http}
}}
"""

# Debian's nginx.conf, and the location of the guides: https://docs.docker.com/registry/recipes/nginx/, as of 2016.
NGINX_DEFAULT = """
  ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on; gzip on;
  access_log {place}/nginx.access.log;
  upstream docker-registry {{ server 127.0.0.1:{upstream}; }}
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
    client_max_body_size 0; chunked_transfer_encoding on;
    location /v2/ {{
      {location}
      proxy_read_timeout 900;
    }}
  }}
"""

NGINX_BEST = """
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m; ssl_prefer_server_ciphers on;
  ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256;
  ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384;
  access_log {place}/nginx.access.log combined buffer=64k flush=1s;
  keepalive_requests 1000000;
  upstream docker-registry {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {certificate}; ssl_certificate_key {key};
    client_max_body_size 0; client_body_buffer_size 64k;
    location /v2/ {{
      {location}
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 900;
      proxy_request_buffering off;
      proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;
    }}
  }}
"""

LOCATION = r"""
      if ($http_user_agent ~ "^(docker\/1\.(3|4|5(?!\.[0-9]-dev))|Go ).*$" ) { return 404; }
      add_header Docker-Distribution-Api-Version registry/2.0 always;
      proxy_pass http://docker-registry;
      proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
"""


def nginx_configuration(place, http, connections):
    """Also the upstream's."""
    root_user = "user root;" if os.geteuid() == 0 else ""
    return NGINX.format(place=place, http=http, connections=connections, root_user=root_user)


def _nginx(site, port, server, connections):
    location = LOCATION
    if site.users is not None:
        location += f'      auth_basic "Registry Realm"; auth_basic_user_file {site.htpasswd()};'
    http = server.format(place=site.place, port=port, certificate=site.certificate, key=site.key,
                         upstream=site.upstream, location=location)
    return ["nginx", "-e", "stderr", "-c", site.write("nginx.conf", nginx_configuration(site.place, http, connections))]


def nginx_default(site, port):
    # Debian's 768 would refuse what the others can.
    return _nginx(site, port, NGINX_DEFAULT, 8192)


def nginx_best(site, port):
    return _nginx(site, port, NGINX_BEST, 8192)


# The ciphers, timeouts and logging of Debian's haproxy.cfg.
HAPROXY = """
global
  log stdout format raw local0
  maxconn 8192
  ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256
  ssl-default-bind-options ssl-min-ver TLSv1.2
{users}
defaults
  log global
  mode http
  option httplog
  option dontlognull
  timeout connect 5s
  timeout client 900s
  timeout server 900s
frontend registry
  bind 127.0.0.1:{port} ssl crt {pem} alpn http/1.1
  {rules}
  http-request set-header X-Forwarded-Proto https
  http-response set-header Docker-Distribution-Api-Version registry/2.0
  option forwardfor
  default_backend docker-registry
backend docker-registry
  http-reuse always
  server registry 127.0.0.1:{upstream}
"""


def haproxy(site, port):
    users = rules = ""
    if site.users is not None:
        users = "userlist users\n" + "".join(f"  user {user} password {hashed}\n" for user, hashed in site.users)
        rules = "http-request auth realm Registry unless { http_auth(users) }"
    pem = site.write("haproxy.pem", site.certificate.read_text() + site.key.read_text())
    text = HAPROXY.format(port=port, pem=pem, upstream=site.upstream, users=users, rules=rules)
    return ["haproxy", "-db", "-f", site.write("haproxy.cfg", text)]


CADDY = """
{{
  admin off
  auto_https off
}}
https://:{port} {{
  bind 127.0.0.1
  tls {certificate} {key}
  log {{
    output file {place}/caddy.access.log
  }}
  header Docker-Distribution-Api-Version registry/2.0
  {auth}
  reverse_proxy http://127.0.0.1:{upstream}
}}
"""


def caddy(site, port):
    auth = ""
    if site.users is not None:
        users = "".join(f"    {user} {hashed}\n" for user, hashed in site.users)
        auth = f'basicauth /v2/* bcrypt "Registry Realm" {{\n{users}  }}'
    text = CADDY.format(port=port, certificate=site.certificate, key=site.key, place=site.place,
                        upstream=site.upstream, auth=auth)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", site.write("Caddyfile", text)]


PEERS = {"lockgate": lockgate, "nginx-best": nginx_best, "nginx-default": nginx_default, "haproxy": haproxy,
         "caddy": caddy}


def require(programs):
    """Says which packages must be installed (`{program: package}`), before anything is measured."""
    missing = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if missing:
        raise SystemExit(f"Not installed: {', '.join(missing)}. Please: sudo apt-get install {' '.join(missing)} "
                         "(and stop their services), or leave a proxy out with --peers.")


@contextmanager
def serving(name, site):
    """The proxy `name` in front of `site`, until the block ends."""
    port = free_port()
    environment = {"XDG_DATA_HOME": str(site.place), "XDG_CONFIG_HOME": str(site.place)}
    server = Server(name, PEERS[name](site, port), site.place / f"{name}.log", environment, port)
    try:
        yield server
    finally:
        server.stop()
