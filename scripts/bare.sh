#!/usr/bin/env bash
# bare.sh: shows that a clone stands alone. It makes a bare Debian in a temporary directory, with nothing but what it
# takes to have a clone and Rust; clones there what is committed here, into an empty directory; and runs `make up`, until
# the registry answers, `make test-without-engine`, and, with an engine of its own, `make test`. Takes root, an hour and
# 15 GB, and leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/need.sh bare
place=$(mktemp -d)
root=$place/root
trap '{ kill $(jobs -p); umount "$place/net"; } 2>/dev/null || :; rm -rf --one-file-system "$place"' EXIT
scripts/mirror.sh bookworm |
    mmdebstrap --quiet --variant=minbase --include=git,make,curl,ca-certificates bookworm "$root" -
echo "127.0.0.1 localhost" >"$root/etc/hosts"
# What this machine trusts, so that cargo works behind a mirror with an authority of its own.
cp /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/ca-certificates/build-machine.crt"
chroot "$root" update-ca-certificates >/dev/null 2>&1
mkdir "$root/opt/rust" "$root/srv/empty"
git bundle create --quiet "$root/srv/lockgate.bundle" HEAD

# A network of its own, so that its engine and its ports are nobody else's. 10.0.2.3 is slirp4netns's resolver.
echo "nameserver 10.0.2.3" >"$root/etc/resolv.conf"
touch "$place/net"
unshare --net="$place/net" true
mkfifo "$place/ready"
slirp4netns --configure --mtu=65520 --disable-host-loopback --ready-fd=3 --netns-type=path "$place/net" tap0 \
    3>"$place/ready" >/dev/null &
read -rN1 <"$place/ready"

# The root of a mount namespace, and not only of a chroot, so that the tests may make namespaces of their own.
enter='
    mount --bind "$0" "$0"
    cd "$0"
    mount -t proc proc proc
    mount --rbind /dev dev
    mount --rbind /sys sys
    mount --bind --options ro "$1" opt/rust
    pivot_root . mnt
    umount --recursive --lazy mnt
    exec env --ignore-environment HOME=/root PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -euxc "$2"'
inside=$(cat <<'END'
    cd /srv/empty
    git clone --quiet ../lockgate.bundle lockgate
    cd lockgate
    make up &
    up=$!
    timeout 3600 sh -c 'until [ "$(curl --silent --cacert certs/devdockerCA.crt --output /dev/null --write-out "%{http_code}" \
        https://localhost:5043/v2/)" = 401 ]; do kill -0 "$0" && sleep 1 || exit 1; done' "$up"
    kill "$up"
    wait "$up" || :
    make test-without-engine
    make test
END
)
nsenter --net="$place/net" unshare --mount --pid --fork --kill-child \
    sh -ec "$enter" "$root" "$(rustc --print sysroot)" "$inside" </dev/null
echo "bare.sh: the clone stands alone"
