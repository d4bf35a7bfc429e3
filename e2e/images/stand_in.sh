#!/usr/bin/env bash
# Prints the path of a root file system that stands in for python:3.13-slim where no registry of
# images is in reach; made with debootstrap (root, about a minute) unless it is in the cache:
#
#   docker import "$(e2e/images/stand_in.sh)" python:3.13-slim
#
# As in the original, Python 3.13 and pip, CA certificates and time zones are there, compilers and
# bytecode are not. Python is in /usr/bin instead of /usr/local/bin. This machine's CA bundle and
# pip configuration are copied in, so that pip reaches there what it reaches here.
set -euo pipefail

SUITE=trixie
PACKAGES=python3,python3-venv,python3-pip,ca-certificates,netbase,tzdata

cache=${XDG_CACHE_HOME:-$HOME/.cache}/moorline
tarball=$cache/python-3.13-slim.tar
if [[ -e $tarball ]]; then
    echo "$tarball"
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root" "$@" >&2
for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
    if [[ -e $file ]]; then
        cp --dereference "$file" "$root$file"
    fi
done
find "$root" -depth -name __pycache__ -exec rm -rf {} +
find "$root/var/lib/apt/lists" "$root/var/cache/apt" "$root/var/log" -type f -delete
find "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale" -type f -delete

mkdir -p "$cache"
tar --create --file "$work/image.tar" --numeric-owner --one-file-system --directory "$root" .
mv "$work/image.tar" "$tarball.$$"
mv "$tarball.$$" "$tarball"
echo "$tarball"
