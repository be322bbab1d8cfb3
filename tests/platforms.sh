#!/usr/bin/env bash
# Builds and tests Postern for other machines than this one: ./dev platforms [NAME...]
#
#   bookworm, trixie, sid           Debian releases in a chroot each: ./dev lint and ./dev test
#   arm64, armhf, riscv64, i386     cross-compiled for Debian 12 or, riscv64, 13; the unit tests and
#                                   one file of end-to-end tests run under qemu-user
#   nehalem, haswell                unit tests and handshakes of this machine's build on processors
#                                   without AES-NI, without AVX-512, by qemu-user
#
# Needs root and a network with Debian's archive. Everything is kept below POSTERN_PLATFORMS
# (/var/tmp/postern-platforms), so that a second run is faster. The last lines are a table.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
work=${POSTERN_PLATFORMS:-/var/tmp/postern-platforms}
mirror=http://deb.debian.org/debian/
table=()

BUILD_LIBRARIES=libatomic1,libuv1-dev,libinih-dev,libmicrohttpd-dev,libseccomp-dev,check,libssl-dev,libc6-dev,libsubunit-dev
TOOLS="gcc meson ninja-build patch pkg-config python3 openssl git ca-certificates sudo procps"

# step PLATFORM WHAT COMMAND...: runs it with a log of its own, and remembers how it went.
step() {
    local platform=$1 what=$2 log=$work/$1-$2.log begin=$SECONDS result=ok
    shift 2
    "$@" >"$log" 2>&1 || result="FAILED ($log)"
    table+=("$(printf '%-10s %-12s %4d s  %s' "$platform" "$what" $((SECONDS - begin)) "$result")")
    printf '>> %s\n' "${table[-1]}"
    [ "$result" = ok ]
}

copy_tree() { # FOLDER
    rm -rf "$1"
    mkdir -p "$1/subprojects/packagecache"
    (cd "$top" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$1")
    cp "$top"/subprojects/packagecache/*.tar.gz "$1/subprojects/packagecache/"
}

# --- Debian releases ---

make_release() { # SUITE
    local root=$work/$1
    if [ ! -x "$root/usr/bin/apt-get" ]; then
        debootstrap --variant=minbase --include="${TOOLS// /,}" "$1" "$root" "$mirror" || return 1
    fi
    mountpoint -q "$root/proc" || mount --bind /proc "$root/proc" || return 1
    copy_tree "$root/src"
    chroot "$root" sh -c 'cd /src && git init -q . && git add -A'
}

in_release() { # SUITE COMMAND
    chroot "$work/$1" sh -c "cd /src && $2"
}

release() { # SUITE
    step "$1" chroot make_release "$1" || return
    step "$1" lint in_release "$1" './dev lint'
    step "$1" suite in_release "$1" './dev test --plain'
    umount "$work/$1/proc"
}

# --- other processors ---

# The first stage of debootstrap only downloads: nothing of the other machine is run.
make_sysroot() { # ARCHITECTURE SUITE
    local root=$work/$1
    [ -e "$root/complete" ] && return 0
    rm -rf "$root"
    debootstrap --foreign --arch="$1" --variant=minbase --include=$BUILD_LIBRARIES \
        "$2" "$root" "$mirror" || return 1
    local package
    for package in "$root"/var/cache/apt/archives/*.deb; do
        dpkg-deb --extract "$package" "$root" || return 1
    done
    touch "$root/complete"
}

cross_file() { # ARCHITECTURE TRIPLET CPU QEMU
    local root=$work/$1 lib=${2/i686/i386}
    cat <<TEXT
[binaries]
c = ['$2-gcc', '--sysroot=$root']
ar = '$2-ar'
strip = '$2-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-$4-static', '-L', '$root']
[built-in options]
c_link_args = ['-L$root/usr/lib/$lib', '-L$root/lib/$lib']
[properties]
needs_exe_wrapper = true
sys_root = '$root'
pkg_config_libdir = '$root/usr/lib/$lib/pkgconfig:$root/usr/share/pkgconfig'
[host_machine]
system = 'linux'
cpu_family = '$3'
cpu = '$3'
endian = 'little'
TEXT
}

build_cross() { # ARCHITECTURE TRIPLET CPU QEMU
    cross_file "$@" >"$work/$1.cross"
    copy_tree "$work/$1-src"
    cd "$work/$1-src" || return 1
    meson setup build --cross-file "$work/$1.cross" -Dwerror=true -Dwolfssl=subproject &&
        ninja -C build
}

# emulated PLATFORM PROGRAM EMULATOR...: end to end, with this machine's clients and broker.
emulated() {
    local wrapper=$work/$1-postern program=$2 tests=${2%/build/postern}/tests/integration
    shift 2
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$*" "$program" >"$wrapper"
    chmod 755 "$wrapper"
    "$wrapper" --version &&
        POSTERN=$wrapper POSTERN_SANITIZED=1 python3 "$tests/test_resumption.py" &&
        POSTERN=$wrapper POSTERN_SANITIZED=1 python3 "$tests/test_proxy_protocol.py"
}

unit_tests() { # FOLDER
    meson test -C "$1" --no-rebuild --suite unit --timeout-multiplier 10 --print-errorlogs
}

cross() { # ARCHITECTURE TRIPLET CPU QEMU SUITE
    step "$1" sysroot make_sysroot "$1" "$5" || return
    step "$1" build build_cross "$1" "$2" "$3" "$4" || return
    step "$1" unit unit_tests "$work/$1-src/build"
    step "$1" end-to-end emulated "$1" "$work/$1-src/build/postern" "qemu-$4-static" -L "$work/$1"
}

# --- other x86-64 processors ---

build_here() {
    copy_tree "$work/here-src"
    cd "$work/here-src" && meson setup build -Dwolfssl=subproject -Dwerror=true && ninja -C build
}

unit_tests_on() { # MODEL
    local program
    for program in clients context engine tickets; do
        CK_TIMEOUT_MULTIPLIER=20 qemu-x86_64-static -cpu "$1" \
            "$work/here-src/build/tests/unit/test_$program" || return 1
    done
}

# One handshake; there is no broker. The end-to-end tests signal the program, and qemu 7.2 for x86-64
# dies of a signal to any libuv loop, a program of ten lines included; SIGKILL ends it here.
handshake_on() { # MODEL VERSION
    local certs=$work/here-src/certs/local port='' pid status
    qemu-x86_64-static -cpu "$1" "$work/here-src/build/postern" --listen 127.0.0.1:0 \
        --backend 127.0.0.1:1 --cert "$certs/server/cert.pem" --key "$certs/server/privkey.pem" \
        2>"$work/model.log" &
    pid=$!
    for _ in $(seq 100); do
        port=$(sed -n 's/.* ready .*listen=127.0.0.1:\([0-9]*\).*/\1/p' "$work/model.log")
        [ -z "$port" ] || break
        sleep 0.1
    done
    openssl s_client -connect "127.0.0.1:$port" "-$2" -CAfile "$certs/ca.pem" \
        -verify_return_error -brief </dev/null
    status=$?
    kill -KILL $pid
    wait $pid 2>/dev/null
    return $status
}

handshakes_on() { # MODEL
    "$work/here-src/certs/make-certs" --dir "$work/here-src/certs/local" localhost &&
        handshake_on "$1" tls1_2 && handshake_on "$1" tls1_3
}

processor() { # NAME MODEL
    [ -x "$work/here-src/build/postern" ] || step "$1" build build_here || return
    step "$1" unit unit_tests_on "$2"
    step "$1" handshakes handshakes_on "$2"
}

platform() { # NAME
    case $1 in
    bookworm | trixie | sid) release "$1" ;;
    arm64) cross arm64 aarch64-linux-gnu aarch64 aarch64 bookworm ;;
    armhf) cross armhf arm-linux-gnueabihf arm arm bookworm ;;
    i386) cross i386 i686-linux-gnu x86 i386 bookworm ;;
    riscv64) cross riscv64 riscv64-linux-gnu riscv64 riscv64 trixie ;;
    nehalem) processor nehalem Nehalem ;;
    haswell) processor haswell Haswell ;;
    *)
        echo "unknown platform $1; the head of $0 lists them" >&2
        exit 2
        ;;
    esac
}

mkdir -p "$work"
[ $# -gt 0 ] || set -- bookworm trixie sid arm64 armhf i386 riscv64 nehalem haswell
for name in "$@"; do
    platform "$name"
done
printf '%s\n' "" "${table[@]}"
! printf '%s\n' "${table[@]}" | grep -q FAILED
