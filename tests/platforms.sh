#!/usr/bin/env bash
# Builds and tests Postern for other machines than this one: ./dev platforms [NAME...]
#
#   bookworm, trixie, sid           Debian releases in a chroot each: ./dev run by an ordinary user, then
#                                   ./dev lint and ./dev test in the flavours of `release` below
#   i386                            the same with Debian 12's programs of 32 bits, which a kernel for
#                                   x86-64 runs
#   arm64, armhf, riscv64           cross-compiled for Debian 12 or, riscv64, 13; the unit tests and a
#                                   round trip under qemu-user, for both ARMs the integration tests, too
#   nehalem, haswell                unit tests and a round trip of this machine's build on processors
#                                   without AES-NI, without AVX-512, by qemu-user
#   musl                            this machine's processor with another C library: all tests
#
# Needs root and a network with Debian's archive. Everything is kept below POSTERN_PLATFORMS
# (/var/tmp/postern-platforms), so that a second run is faster. POSTERN_STEPS="unit round-trip" runs
# only these steps of what was made before. The last lines are a table.
set -uo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
work=${POSTERN_PLATFORMS:-/var/tmp/postern-platforms}
mirror=http://deb.debian.org/debian/
table=()

BUILD_LIBRARIES=libatomic1,libuv1-dev,libinih-dev,libmicrohttpd-dev,libseccomp-dev,check,libssl-dev,libc6-dev,libsubunit-dev
TOOLS="gcc meson ninja-build patch pkg-config python3 openssl git ca-certificates sudo procps"

# counted LOG: how many tests passed and failed, if it was tests.
counted() {
    grep -E '^[0-9]+ passed, [0-9]+ failed$' "$1" | tail -n 1
}

# step PLATFORM WHAT COMMAND...: runs it with a log of its own, and remembers how it went.
step() {
    local platform=$1 what=$2 log=$work/$1-$2.log begin=$SECONDS result=ok
    shift 2
    [[ " ${POSTERN_STEPS:-$what} " = *" $what "* ]] || return 0
    "$@" >"$log" 2>&1 || result="FAILED ($log)"
    table+=("$(printf '%-9s %-14s %4d s  %s  %s' "$platform" "$what" $((SECONDS - begin)) "$result" \
        "$(counted "$log")")")
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

# Nothing that is installed there starts a daemon; root and an ordinary user have the source.
make_release() { # SUITE, or i386
    local root=$work/$1 which=("$1")
    [ "$1" != i386 ] || which=(--arch=i386 bookworm)
    if [ ! -e "$root/etc/sudoers.d/user" ]; then
        debootstrap --variant=minbase --include="${TOOLS// /,}" "${which[@]}" "$root" "$mirror" ||
            return 1
        echo '127.0.0.1 localhost' >"$root/etc/hosts"
        echo '::1 localhost' >>"$root/etc/hosts"
        printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
        chmod 755 "$root/usr/sbin/policy-rc.d"
        chroot "$root" useradd --create-home --shell /bin/bash user || return 1
        echo 'user ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/user"
    fi
    local folder
    for folder in "$root/src" "$root/home/user/postern"; do
        copy_tree "$folder"
        chroot "$root" sh -c "cd '${folder#"$root"}' && git init -q . && git add -A" || return 1
    done
    chroot "$root" chown -R user: /home/user/postern
}

# enter SUITE COMMAND...: what is mounted there goes with the command. The root folder is mounted on
# itself, since tests change how it is mounted.
enter() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount sh -c 'mount --bind "$1" "$1" && mount --bind /proc "$1/proc" && exec chroot "$@"' \
        sh "$work/$1" "${@:2}"
}

in_release() { # SUITE COMMAND
    enter "$1" sh -c "cd /src && $2"
}

# As the login shell of an ordinary user of Debian, whose PATH lacks /usr/sbin.
as_user() { # SUITE COMMAND
    enter "$1" env -i LANG=C.UTF-8 su - user -c "cd postern && $2"
}

# ./dev run needs the ports 1883 and 8883, which in a network of its own are free; packages come before.
run_release() { # SUITE
    as_user "$1" './dev build && sudo apt-get install -q -y --no-install-recommends mosquitto \
        mosquitto-clients' || return 1
    export -f enter as_user
    work=$work unshare --net bash -c 'ip link set lo up && as_user "$@"' bash "$1" tests/dev-run.sh
}

release() { # SUITE FLAVOUR...
    local suite=$1 flavour
    step "$suite" chroot make_release "$suite" || return
    step "$suite" run run_release "$suite"
    step "$suite" lint in_release "$suite" './dev lint'
    for flavour in "${@:2}"; do
        step "$suite" "$flavour" in_release "$suite" "./dev test --$flavour"
    done
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

host_machine() { # CPU
    printf '[host_machine]\nsystem = "linux"\ncpu_family = "%s"\ncpu = "%s"\nendian = "little"\n' \
        "$1" "$1" | tr '"' "'"
}

cross_file() { # ARCHITECTURE TRIPLET CPU QEMU
    local root=$work/$1
    cat <<TEXT
[binaries]
c = ['$2-gcc', '--sysroot=$root']
ar = '$2-ar'
strip = '$2-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-$4-static', '-L', '$root']
[built-in options]
c_link_args = ['-L$root/usr/lib/$2', '-L$root/lib/$2']
[properties]
needs_exe_wrapper = true
sys_root = '$root'
pkg_config_libdir = '$root/usr/lib/$2/pkgconfig:$root/usr/share/pkgconfig'
TEXT
    host_machine "$3"
}

# build_with NAME [OPTION...]: the project in NAME-src, by the cross file NAME.cross where there is one.
build_with() {
    local source=$work/$1-src
    copy_tree "$source"
    cd "$source" && meson setup build -Dwerror=true -Dwolfssl=subproject "${@:2}" && ninja -C build -k 0
}

build_cross() { # ARCHITECTURE TRIPLET CPU QEMU
    cross_file "$@" >"$work/$1.cross"
    build_with "$1" --cross-file "$work/$1.cross"
}

# with_tmp ARCHITECTURE COMMAND...: qemu-user looks for each file in the folder of its libraries first,
# and for "/" among them: /tmp there is this machine's, so that a file has one way to it from there.
with_tmp() {
    mkdir -p "$work/$1/tmp"
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount sh -c 'mount --bind /tmp "$1/tmp" && shift && exec "$@"' sh "$work/$1" "${@:2}"
}

# emulated PLATFORM EMULATOR...: the integration tests, with this machine's clients and broker.
emulated() {
    local wrapper=$work/$1-postern program=$work/$1-src/build/postern
    printf '#!/bin/sh\nexec %s %s "$@"\n' "${*:2}" "$program" >"$wrapper"
    chmod 755 "$wrapper"
    "$wrapper" --version && with_tmp "$1" python3 "$work/$1-src/tests/emulated.py" "$wrapper"
}

# emulated_unit NAME COMMAND...: the unit tests of the project in NAME-src, by that command if there is
# one. Check's own time limits are for a processor.
emulated_unit() {
    CK_TIMEOUT_MULTIPLIER=20 "${@:2}" python3 "$work/$1-src/tests/emulated.py" --unit \
        "$work/$1-src/build"
}

tests() { # FOLDER SUITE
    meson test -C "$1" --no-rebuild --suite "$2" --timeout-multiplier 10 --print-errorlogs
    python3 "$top/tests/summary.py" "$1/meson-logs/testlog.json"
}

cross() { # ARCHITECTURE TRIPLET CPU QEMU SUITE
    local run=("qemu-$4-static" -L "$work/$1")
    step "$1" sysroot make_sysroot "$1" "$5" || return
    step "$1" build build_cross "$1" "$2" "$3" "$4" || return
    step "$1" round-trip "$top/tests/round-trip.sh" "${run[@]}" "$work/$1-src/build/postern"
    step "$1" unit emulated_unit "$1" with_tmp "$1"
    [[ $1 != arm* ]] || step "$1" integration emulated "$1" "${run[@]}"
}

# --- other x86-64 processors ---

here_file() {
    cat <<TEXT
[binaries]
c = 'gcc'
ar = 'ar'
strip = 'strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-x86_64-static']
[properties]
needs_exe_wrapper = true
TEXT
    host_machine x86_64
}

build_here() {
    here_file >"$work/here.cross"
    build_with here --cross-file "$work/here.cross"
}

# QEMU_CPU is qemu's own: the model that all it starts gets.
processor() { # NAME MODEL
    # Once a run: what an earlier one built is of other commits.
    [ -n "${here_built-}" ] || { step "$1" build build_here || return; }
    here_built=yes
    local -x QEMU_CPU=$2
    step "$1" round-trip "$top/tests/round-trip.sh" qemu-x86_64-static "$work/here-src/build/postern"
    step "$1" unit emulated_unit here
}

# --- another C library ---

# Debian has musl, but none of our libraries for it: they are built from Debian's sources.
MUSL_SOURCES="libuv1/trixie libinih/trixie libmicrohttpd/trixie libseccomp/trixie check/trixie
    openssl/bookworm"

fetch_musl_sources() {
    local here=$work/musl/apt
    local apt=(apt-get -o "Dir::Etc::SourceList=$here/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$here/lists" -o Dir::State::Status=/dev/null -o "Dir::Cache=$here/cache"
        -o APT::Sandbox::User=root)
    mkdir -p "$here/lists/partial" "$here/cache/archives/partial" "$work/musl/sources"
    printf "deb-src $mirror %s main\n" bookworm trixie >"$here/sources.list"
    cd "$work/musl/sources" || return 1
    # shellcheck disable=SC2086 # a list of package names
    "${apt[@]}" update && "${apt[@]}" source $MUSL_SOURCES && touch complete
}

# The kernel's headers, without glibc's beside them.
copy_kernel_headers() {
    mkdir -p "$work/musl/root/include"
    cp -r /usr/include/linux /usr/include/asm-generic "$work/musl/root/include/"
    cp -rL "/usr/include/$(gcc -print-multiarch)/asm" "$work/musl/root/include/"
}

musl_file() {
    cat <<TEXT
[binaries]
c = 'musl-gcc'
ar = 'ar'
strip = 'strip'
pkgconfig = 'pkg-config'
[built-in options]
c_args = ['-isystem', '$work/musl/root/include']
[properties]
needs_exe_wrapper = false
pkg_config_libdir = '$work/musl/root/lib/pkgconfig'
TEXT
    host_machine x86_64
}

# Builds in the source NAME, unless an earlier run did.
musl_library() { # NAME COMMAND...
    cd "$work"/musl/sources/"$1"-[0-9]* || return 1
    [ -e installed ] || { "${@:2}" && touch installed; }
}

with_configure() { # OPTION...
    [ -x configure ] || sh autogen.sh || return 1
    CC=musl-gcc CFLAGS="-O2 -fPIC -isystem $work/musl/root/include" ./configure \
        --host=x86_64-linux-musl --prefix="$work/musl/root" --libdir="$work/musl/root/lib" \
        --disable-shared --enable-static "$@" &&
        make -j"$(nproc)" MAKEINFO=true && make install MAKEINFO=true
}

# Debian's description of it for pkg-config names the library that only its package makes.
check_library() {
    with_configure --disable-subunit && cp "$work"/musl/root/lib/libcheck{,_pic}.a
}

with_meson() { # OPTION...
    meson setup build --cross-file "$work/musl.cross" --prefix="$work/musl/root" --libdir=lib \
        -Ddefault_library=static "$@" && ninja -C build install
}

# The libraries alone: neither OpenSSL's program nor its manual pages.
openssl_libraries() {
    CC=musl-gcc ./Configure linux-x86_64 --prefix="$work/musl/root" --libdir=lib no-shared no-tests \
        no-engine no-module no-afalgeng -fPIC -isystem "$work/musl/root/include" &&
        make -j"$(nproc)" build_libs && make install_dev
}

make_musl() {
    [ -e "$work/musl/sources/complete" ] || fetch_musl_sources || return 1
    copy_kernel_headers
    musl_file >"$work/musl.cross"
    musl_library libuv1 with_configure &&
        musl_library libmicrohttpd with_configure --disable-https --disable-doc --disable-examples \
            --disable-curl &&
        musl_library libseccomp with_configure &&
        musl_library check check_library &&
        musl_library libinih with_meson -Ddistro_install=true -Dwith_INIReader=false &&
        musl_library openssl openssl_libraries
}

build_musl() {
    build_with musl --cross-file "$work/musl.cross"
}

musl() {
    step musl libraries make_musl || return
    step musl build build_musl || return
    step musl unit tests "$work/musl-src/build" unit
    step musl round-trip "$top/tests/round-trip.sh" "$work/musl-src/build/postern"
    step musl integration tests "$work/musl-src/build" integration
}

platform() { # NAME
    case $1 in
    bookworm | trixie | sid) release "$1" plain asan tsan generic system-wolfssl ;;
    i386) release i386 plain ;;
    arm64) cross arm64 aarch64-linux-gnu aarch64 aarch64 bookworm ;;
    armhf) cross armhf arm-linux-gnueabihf arm arm bookworm ;;
    riscv64) cross riscv64 riscv64-linux-gnu riscv64 riscv64 trixie ;;
    nehalem) processor nehalem Nehalem ;;
    # Without what qemu does not have: it says so on standard error for each thread.
    haswell) processor haswell Haswell,-pcid,-x2apic,-tsc-deadline,-hle,-invpcid,-rtm ;;
    musl) musl ;;
    *)
        echo "unknown platform $1; the head of $0 lists them" >&2
        exit 2
        ;;
    esac
}

mkdir -p "$work"
[ $# -gt 0 ] || set -- bookworm trixie sid arm64 armhf i386 riscv64 nehalem haswell musl
for name in "$@"; do
    platform "$name"
done
printf '%s\n' "" "${table[@]}"
! printf '%s\n' "${table[@]}" | grep -q FAILED
