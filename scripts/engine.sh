#!/bin/sh
# engine.sh: sees to a Docker engine with compose and buildx, and to the base images that are built upon. What is there
# already is used as it is. Root on Debian is given what is missing; anybody else is told in one line.
set -eu
cd "$(dirname "$0")"

compose_and_buildx() { docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; }

# --- the engine ----------------------------------------------------------------------------------------------------
if ! docker info >/dev/null 2>&1 || ! compose_and_buildx; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "missing; please start a Docker engine you may use, with compose and buildx:" \
            "https://docs.docker.com/engine/install/" >&2
        exit 1
    fi
fi
if ! docker info >/dev/null 2>&1; then
    ./need.sh engine
    # The package has started it where there is an init.
    if ! timeout 30 sh -c 'until docker info >/dev/null 2>&1; do [ -d /run/systemd/system ] || exit 1; sleep 1; done'; then
        log=/var/log/dockerd.log
        echo "engine.sh: starting dockerd, which logs to $log"
        setsid dockerd >"$log" 2>&1 </dev/null &
        timeout 60 sh -c 'until docker info >/dev/null 2>&1; do sleep 1; done' ||
            { echo "engine.sh: dockerd did not start:" >&2; tail -n 20 "$log" >&2; exit 1; }
    fi
fi

# --- compose and buildx --------------------------------------------------------------------------------------------
# Debian 12 has neither, so they are taken from Debian 13: unpacked, not installed, and with lists of packages of their
# own, so that this machine's apt never sees another suite.
if ! compose_and_buildx; then
    echo "engine.sh: fetching docker compose and docker buildx from Debian 13"
    plugins=/usr/local/lib/docker/cli-plugins
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    mkdir -p "$tmp/lists/partial" "$tmp/cache/archives/partial" "$plugins"
    ./mirror.sh trixie >"$tmp/sources.list"
    apt_13() {
        apt-get -qq -o Dir::Etc::SourceList="$tmp/sources.list" -o Dir::Etc::SourceParts=/dev/null \
            -o Dir::State::Lists="$tmp/lists" -o Dir::Cache="$tmp/cache" \
            -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
    }
    apt_13 update
    (cd "$tmp" && apt_13 download docker-compose docker-buildx)
    for package in "$tmp"/*.deb; do dpkg-deb -x "$package" "$tmp/unpacked"; done
    install -m 0755 "$tmp"/unpacked/usr/libexec/docker/cli-plugins/docker-* "$plugins/"
    compose_and_buildx
fi

./base-images.sh
echo "engine.sh: engine $(docker version -f '{{.Server.Version}}'), compose $(docker compose version --short)"
