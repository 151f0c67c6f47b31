#!/bin/sh
# need.sh GROUP...: installs the packages of the commands in tools.txt that are missing: Debian's where it may (as root,
# or with a sudo that asks nothing), wheels for this user. Where it may not, it says in one line what to install, and
# fails.
set -eu

TOOLS=$HOME/.cache/lockgate/tools
# Where Debian keeps what it takes for an administrator's.
PATH=$PATH:/usr/sbin:/sbin:$TOOLS/bin
missing= wheels=
for group; do
    listed=
    while read -r command package groups; do
        case "$command: $groups " in "#"*) continue ;; *" $group "*) listed=yes ;; *) continue ;; esac
        # Not `command -v`: a shell has a `kill` of its own, and a test has not.
        which "$command" >/dev/null || [ -f "$command" ] || case "$package:$missing " in
            pip:*) wheels="$wheels $command=${package#pip:}" ;;
            *" $package "*) ;;
            *) missing="$missing $package" ;;
        esac
    done <"$(dirname "$0")/tools.txt"
    [ -n "$listed" ] || { echo "need.sh: no tool is of the group $group" >&2; exit 1; }
done

if [ -n "$missing" ]; then
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
    for service in docker-registry nginx haproxy caddy prometheus; do
        case "$missing" in *$service*) $as_root systemctl mask "$service" >/dev/null 2>&1 || : ;; esac
    done
    $as_root env DEBIAN_FRONTEND=noninteractive sh -ec "apt-get update -qq
        apt-get install -qqy --no-install-recommends -o DPkg::Lock::Timeout=600$missing" >/dev/null
fi

for wheel in $wheels; do
    command=${wheel%%=*}
    echo "installing: $command for this user"
    pip3 install --quiet --target "$TOOLS/$command" "${wheel#*=}"
    mkdir -p "$TOOLS/bin"
    ln -sf "../$command/bin/$command" "$TOOLS/bin/$command"
done
