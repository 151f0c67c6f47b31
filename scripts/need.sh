#!/bin/sh
# need.sh COMMAND[=PACKAGE]...: installs the Debian packages of the commands that are missing where it may (as root, or
# with a sudo that asks nothing). Where it may not, it says in one line what to install, and fails.
set -eu

missing=
for each; do
    command -v "${each%=*}" >/dev/null || missing="$missing ${each#*=}"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing; please install:$missing" >&2
    exit 1
elif [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "missing; please run: sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "installing:$missing"
# The tests start servers of their own; the packages would start one on its port, now and at every boot.
for service in docker-registry nginx haproxy caddy; do
    case "$missing" in *$service*) $as_root systemctl mask "$service" >/dev/null 2>&1 || : ;; esac
done
$as_root env DEBIAN_FRONTEND=noninteractive sh -ec "apt-get update -qq; apt-get install -qqy --no-install-recommends$missing" >/dev/null
