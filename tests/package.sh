#!/usr/bin/env bash
# Builds the Debian package and tries it: ./dev package --check [STEP...]
#
#   build         the source package and the package, unit tests included
#   lintian       no errors and no warnings
#   blhc          every command of the build is hardened
#   reproducible  built again from the source package, elsewhere, later and without network: the same
#                 bytes
#   install, upgrade, remove, purge   in a minimal system, made by debootstrap
#   service       the same with systemd as its process 1: nothing is started until it is configured,
#                 and an upgrade restarts it while its socket keeps the port
#   autopkgtest   debian/tests, in the minimal system
#   trixie        built in a minimal Debian 13 from the source package, and debian/tests with what came
#                 out; not among the steps unless it is named
#
# Needs root and Debian's archive. Everything is kept below POSTERN_PACKAGE
# (/var/tmp/postern-package), so that a second run is faster and steps can be repeated; upgrade, remove
# and purge go on where the step before them ended. The last lines are a table.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
work=${POSTERN_PACKAGE:-/var/tmp/postern-package}
built=$work/built
root=$work/root
table=()

BASE_PACKAGES="systemd systemd-sysv dbus python3 openssl mosquitto mosquitto-clients"

# step WHAT COMMAND...: runs it with a log of its own, and remembers how it went.
step() {
    local what=$1 log=$work/log/$1 begin=$SECONDS result=ok
    shift
    "$@" >"$log" 2>&1 || result="FAILED ($log)"
    table+=("$(printf '%-14s %4d s  %s' "$what" $((SECONDS - begin)) "$result")")
    printf '>> %s\n' "${table[-1]}"
    [ "$result" = ok ]
}

fail() {
    echo "not as it must be: $*"
    return 1
}

# --- the build ---

package() { # FOLDER
    echo "$1"/postern_*.deb
}

check_build() {
    "$top/scripts/package.sh" "$built"
}

# The programs that test_vector traces are linked without PIE, so that addresses can be compared; they
# are no part of the package.
check_blhc() {
    blhc --all --ignore-line '.* -o tests/unit/vector/\w+_trace(\.p/\S+)? .*' "$built/build.log"
}

check_lintian() {
    lintian --allow-root --info --display-info --fail-on error,warning "$built"/postern_*.changes
}

# As another machine would: another path, time zone, language and umask, one processor, and no network.
# Without the tests, which are no part of the package.
check_reproducible() {
    local again=$work/somewhere-else/with/a/longer/path
    rm -rf "$work/somewhere-else"
    mkdir -p "$again"
    cd "$again" || return
    (
        umask 027
        dpkg-source --extract "$built"/postern_*.dsc postern &&
            cd postern &&
            TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 CCACHE_DISABLE=1 \
                DEB_BUILD_OPTIONS='nocheck parallel=1' \
                unshare --net dpkg-buildpackage --build=binary --unsigned-changes
    ) || return
    sha256sum "$built"/*.deb "$again"/*.deb
    local file
    for file in "$built"/*.deb; do
        cmp "$file" "$again/$(basename "$file")" || return
    done
}

# --- a minimal system ---

in_root() {
    DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 chroot "$root" "$@"
}

leave_root() {
    ! mountpoint -q "$root/proc" || umount "$root/proc"
}

# make_base [SUITE]: the release that this machine runs, or another, from this machine's mirror. With
# systemd, as every server has it: what remains after a purge is then the package's own.
make_base() {
    local mirror suite base=$work/base${1:+-$1}
    # shellcheck disable=SC2016 # apt's own placeholders
    read -r mirror suite < <(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI) $(RELEASE)' \
        'Identifier: Packages' | sed -n 's/^Debian|Debian|//p')
    [ ! -e "$base/complete" ] || return 0
    rm -rf "$base"
    debootstrap --variant=minbase --include="${BASE_PACKAGES// /,}" "${1:-$suite}" "$base" "$mirror" ||
        return
    chroot "$base" apt-get clean
    touch "$base/complete"
}

fresh_root() { # [SUITE]
    make_base "$@" || return
    leave_root
    rm -rf "$root"
    cp -a "$work/base${1:+-$1}" "$root"
    mount -t proc proc "$root/proc"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    in_root apt-get -q update
}

# With what the package depends on, so that it alone comes and goes.
root_for_package() {
    fresh_root &&
        in_root apt-get -q -y --no-install-recommends satisfy \
            "$(dpkg-deb -f "$(package "$built")" Depends)"
}

install_package() { # FILE
    cp "$1" "$root/tmp/" &&
        in_root apt-get -q -y --no-install-recommends install "/tmp/$(basename "$1")" </dev/null
}

list_root() {
    in_root find / -xdev -path /proc -prune -o -path /tmp -prune -o -path /var/cache -prune -o \
        -path /var/lib/dpkg -prune -o -path /var/lib/apt -prune -o -path /var/log -prune -o \
        -printf '%p %M %u:%g\n' | LC_ALL=C sort
}

check_install() {
    root_for_package || return
    list_root >"$work/before.list"
    install_package "$(package "$built")" || return
    # shellcheck disable=SC2016 # dpkg-query's own
    in_root dpkg-query --show --showformat '${Conffiles}\n' postern
    in_root grep '^postern:.*nologin$' /etc/passwd || fail "no user postern" || return
    in_root postern --version || return
    in_root sh -c 'postern --check; [ $? = 1 ]' || fail "the example needs no certificate" || return
    ! find "$root/etc/systemd" -name 'postern*' | grep . || fail "a unit is enabled" || return
    in_root test -f /usr/share/man/man8/postern.8.gz -a -f /usr/share/man/man5/postern.conf.5.gz ||
        fail "no manual" || return
    in_root python3 -m json.tool /usr/share/doc/postern/postern.spdx.json >/dev/null || return
    in_root grep -q /usr/lib/postern/postern-deploy-hook /usr/lib/postern/postern-deploy-hook
}

# The same package under a higher version: what an upgrade does to a system is in its scripts.
make_newer() {
    rm -rf "$work/newer"
    mkdir -p "$work/newer"
    dpkg-deb --raw-extract "$(package "$built")" "$work/newer/tree" &&
        sed -i 's/^Version: .*/&+newer/' "$work/newer/tree/DEBIAN/control" &&
        dpkg-deb --root-owner-group --build "$work/newer/tree" "$work/newer/postern_newer.deb"
}

check_upgrade() {
    make_newer || return
    echo '# changed by the administrator' >>"$root/etc/postern/postern.conf"
    install_package "$work/newer/postern_newer.deb" || return
    in_root dpkg-query --show postern | grep -F +newer || return
    grep 'changed by the administrator' "$root/etc/postern/postern.conf" ||
        fail "the administrator's configuration is gone"
}

check_remove() {
    mkdir -p "$root/etc/postern/certs"
    echo secret >"$root/etc/postern/certs/kept"
    in_root apt-get -q -y remove postern || return
    ! in_root which postern || fail "the program is still there" || return
    in_root test -f /etc/postern/postern.conf || fail "the configuration is gone"
}

check_purge() {
    in_root apt-get -q -y purge postern || return
    in_root test -f /etc/postern/certs/kept || fail "a file of the administrator is gone" || return
    in_root test ! -e /etc/postern/postern.conf || fail "the configuration is still there" || return
    in_root rm -r /etc/postern
    list_root >"$work/after.list"
    # Users and groups stay; with them the files' backups.
    diff "$work/before.list" "$work/after.list"
}

# debian/tests/service as a unit of the container, which it ends. Nothing of this machine is reached:
# the container has a network of its own.
check_service() {
    root_for_package || return
    leave_root
    rm "$root/usr/sbin/policy-rc.d"
    mkdir -p "$root/try"
    cp "$(package "$built")" "$root/try/postern.deb"
    make_newer || return
    cp "$work/newer/postern_newer.deb" "$root/try/newer.deb"
    cp "$top/debian/tests/service" "$top/debian/tests/clients" "$root/try/"
    cat >"$root/etc/systemd/system/try.service" <<'TEXT'
[Service]
Type=oneshot
WorkingDirectory=/try
ExecStart=/bin/sh -c 'dpkg --install postern.deb && ./service /try/newer.deb && touch passed'
ExecStopPost=systemctl --no-block poweroff
StandardOutput=file:/try/log
StandardError=inherit
[Install]
WantedBy=multi-user.target
TEXT
    chroot "$root" systemctl --quiet enable try.service || return
    timeout 600 systemd-nspawn --quiet --register=no --keep-unit --private-network --boot \
        --console=pipe --directory="$root" </dev/null
    cat "$root/try/log"
    [ -e "$root/try/passed" ]
}

run_autopkgtest() { # ARGUMENT...
    local status=0
    autopkgtest "$@" -- chroot "$root" || status=$?
    # 2: a test was skipped; `service` is, because a chroot is no machine of its own.
    [ $status = 0 ] || [ $status = 2 ]
}

check_autopkgtest() {
    fresh_root && run_autopkgtest --no-built-binaries "$(package "$built")" "$built"/postern_*.dsc
}

check_trixie() {
    fresh_root trixie && run_autopkgtest --env=DEB_BUILD_OPTIONS=nocheck "$built"/postern_*.dsc
}

mkdir -p "$work/log"
trap leave_root EXIT
[ $# -gt 0 ] ||
    set -- build lintian blhc reproducible install upgrade remove purge service autopkgtest
for name in "$@"; do
    declare -F "check_$name" >/dev/null || fail "no step $name" || exit 2
    step "$name" "check_$name" || [ "$name" != build ] || break
done
printf '%s\n' "" "${table[@]}"
! printf '%s\n' "${table[@]}" | grep -q FAILED
