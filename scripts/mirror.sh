#!/bin/sh
# mirror.sh SUITE: this machine's own sources of Debian packages, as apt's one-line entries for another suite: `main` of
# the suite, its updates and its security.
set -eu
here=$(. /etc/os-release && echo "$VERSION_CODENAME")
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
    sed -n "s,^\([^ ]*\) $here\([a-z-]*\) main$,deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \1 $1\2 main,p" |
    grep . || { echo "mirror.sh: apt knows no sources of Debian $here main" >&2; exit 1; }
