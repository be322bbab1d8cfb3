#!/usr/bin/env bash
# Builds the Debian package of what is committed: ./dev package
#
#   scripts/package.sh FOLDER [--source]
#
# FOLDER, which is emptied first, gets the source package, with wolfSSL's source as a component, and
# unless --source is given the packages and build.log. The unit tests run, unless DEB_BUILD_OPTIONS has
# nocheck. Needs the component in subprojects/packagecache; ./dev puts it there. Nothing is signed:
# debsign does that.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

folder=$(realpath -m "$1")
what=${2:-}
version=$(git show HEAD:debian/changelog | dpkg-parsechangelog -l - -S Version)
upstream=${version%-*}
tree=$folder/postern-$upstream
component=subprojects/packagecache/$(sed -n 's/^source_filename *= *//p' subprojects/wolfssl.wrap)

# The times in the archive are the commit's, so it is the same wherever it is made.
make_tree() {
    local orig=$folder/postern_$upstream.orig
    git archive --format=tar --prefix="postern-$upstream/" HEAD -- . ':(exclude)debian' |
        gzip -n9 >"$orig.tar.gz"
    cp "$component" "$orig-wolfssl.tar.gz"
    tar -C "$folder" -xf "$orig.tar.gz"
    mkdir "$tree/wolfssl"
    tar -C "$tree/wolfssl" --strip-components=1 -xf "$orig-wolfssl.tar.gz"
    git archive --format=tar HEAD debian | tar -C "$tree" -x
}

rm -rf "$folder"
mkdir -p "$folder"
make_tree
if [ "$what" = --source ]; then
    cd "$folder"
    dpkg-source --build "$tree"
else
    cd "$tree"
    dpkg-buildpackage --sanitize-env --unsigned-source --unsigned-changes 2>&1 |
        tee "$folder/build.log"
fi
rm -rf "$tree"
