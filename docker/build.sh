#!/usr/bin/env bash
# The first stage of docker/Dockerfile: builds Postern for the processor that the image is for, and
# puts into a folder all that the image has. As root in a Debian that is thrown away afterwards.
#   docker/build.sh FOLDER [amd64|arm64|armv7]     Docker's names; without one, this machine's
# For another processor than this machine's it is cross-compiled, so that nothing is emulated.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

die() {
    printf 'docker/build.sh: %s\n' "$*" >&2
    exit 1
}

# Sets what the processor is called elsewhere. The kernel's name is meson's too.
name_processor() { # DOCKER_NAME
    case $1 in
    amd64) debian=amd64 triplet=x86_64-linux-gnu processor=x86_64 ;;
    arm64 | arm64v8) debian=arm64 triplet=aarch64-linux-gnu processor=aarch64 ;;
    arm | armv7 | armhf) debian=armhf triplet=arm-linux-gnueabihf processor=arm ;;
    '') name_processor "$(dpkg --print-architecture)" ;;
    *) die "there is no image for $1: it is made for amd64, arm64 and armv7" ;;
    esac
}

cross_file() {
    cat <<TEXT
[binaries]
c = '$triplet-gcc'
ar = '$triplet-ar'
strip = '$triplet-strip'
pkgconfig = 'pkg-config'
[properties]
pkg_config_libdir = '/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig'
[host_machine]
system = 'linux'
cpu_family = '$processor'
cpu = '$processor'
endian = 'little'
TEXT
}

build() {
    if [ "$debian" = "$(dpkg --print-architecture)" ]; then
        ./dev build
        return
    fi
    dpkg --add-architecture "$debian"
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        "gcc-$triplet" "libc6-dev:$debian" "libuv1-dev:$debian" "libinih-dev:$debian" \
        "libmicrohttpd-dev:$debian" "libseccomp-dev:$debian"
    cross_file >/tmp/cross.ini
    ./dev build --cross-file=/tmp/cross.ini
}

# copy_libraries FILE: those that it is linked with, and theirs. Only the dynamic linker of that
# processor could list them itself.
copy_libraries() {
    local name path
    for name in $(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        path=/usr/lib/$triplet/$name
        [ -e "$path" ] || path=/lib/$triplet/$name
        [ ! -e "$image$path" ] || continue
        cp --parents --dereference "$path" "$image"
        copy_libraries "$path"
    done
}

copy_program() {
    local linker
    install -D --strip --strip-program="$triplet-strip" build/postern "$image/usr/sbin/postern"
    copy_libraries build/postern
    linker=$(readelf -l build/postern | sed -n 's/.*interpreter: \(.*\)]/\1/p')
    cp --parents --dereference "$linker" "$image"
    install -D -m 644 docker/postern.conf "$image/etc/postern/postern.conf"
    echo 'postern:x:8883:8883:Postern:/:/usr/sbin/nologin' >"$image/etc/passwd"
    echo 'postern:x:8883:' >"$image/etc/group"
    echo 'hosts: files dns' >"$image/etc/nsswitch.conf"
    mkdir -p "$image/tmp" "$image/run" "$image/etc/postern/certs"
}

# The packages that the libraries are of, one a line.
packages() {
    local library found
    find "$image" -name '*.so.*' | while read -r library; do
        library=$(basename "$(readlink -f "${library#"$image"}")")
        found=$(dpkg -S "*/$triplet/$library") || die "no package has $library"
        printf '%s\n' "${found%%:*}"
    done | sort -u
}

# The licences of all that is in the image, wolfSSL among them, which is inside the program; and the
# bill of materials.
copy_licences() {
    local folder=$image/usr/share/doc/postern text package found versions=()
    install -D -m 644 LICENSE "$folder/LICENSE"
    for text in COPYING LICENSING; do
        install -m 644 subprojects/wolfssl-*/$text "$folder/wolfssl-$text"
    done
    found=$(packages) || die "see the line above"
    for package in $found; do
        install -m 644 "/usr/share/doc/$package/copyright" "$folder/$package-copyright"
        versions+=("$package=$(dpkg-query -W -f '${Version}' "$package:$debian")")
    done
    python3 scripts/image_sbom.py build/postern.spdx.json "$folder/postern.spdx.json" "$debian" \
        "${versions[@]}"
}

[ $# -gt 0 ] || die "name a folder"
image=$1
name_processor "${2-}"
build
copy_program
copy_licences
