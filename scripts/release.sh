#!/usr/bin/env bash
# Makes a release of what is committed: ./dev release VERSION [--dry-run] [--contact URL]
#
# Writes the version and the date where they belong, commits that, tags it with a signature, and puts
# what is published into build-release: the tarball with wolfSSL's source and its bill of materials,
# Debian's source package, security.txt and signed checksums. It sends nothing anywhere; its last lines
# say how to.
#
# --dry-run does all of it in a clone, unsigned; only build-release is made here.
# --contact is where flaws are reported in private; known for repositories on GitHub and GitLab.
#
# Needs wolfSSL's source in subprojects/packagecache; ./dev puts it there.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
version='' dry_run='' contact='' policy=''
output=$PWD/build-release

say() {
    printf '>> %s\n' "$*" >&2
}

die() {
    printf 'release: %s\n' "$*" >&2
    exit 1
}

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --dry-run) dry_run=yes ;;
        --contact)
            [ $# -gt 1 ] || die "--contact needs an address"
            contact=$2
            shift
            ;;
        *) version=$1 ;;
        esac
        shift
    done
    [[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]] ||
        die "give a version as 1.2.3 (https://semver.org), and --dry-run to try"
}

# What the lines of CHANGELOG.md are from the heading of $1 to the next one.
changes_of() {
    awk -v heading="## [$1]" '
        index($0, "## ") == 1 { inside = index($0, heading) == 1; next }
        inside' CHANGELOG.md
}

check_state() {
    [ -z "$(git status --porcelain)" ] || die "there are changes that are not committed"
    [ -z "$(git tag --list "v$version")" ] || die "there is a tag v$version"
    [ -z "$(changes_of "$version")" ] || die "CHANGELOG.md has a heading for $version already"
    [[ $(changes_of Unreleased) == *"- "* ]] || die "CHANGELOG.md has nothing under Unreleased"
}

# https_address: the repository's, made of origin's.
https_address() {
    { git remote get-url origin 2>/dev/null || true; } |
        sed -nE 's|\.git$||; s|^git@([^:/]+):|https://\1/|; s|^https://([^@/]+@)?|https://|p'
}

# RFC 9116 wants a full address, and the forge's private report is the one that SECURITY.md names.
find_contact() {
    local address
    address=$(https_address)
    case $address in
    https://github.com/*)
        contact=${contact:-$address/security/advisories/new}
        policy=$address/blob/v$version/SECURITY.md
        ;;
    https://gitlab.*)
        contact=${contact:-$address/-/issues/new?issue[confidential]=true}
        policy=$address/-/blob/v$version/SECURITY.md
        ;;
    esac
    [[ $contact =~ ^(https://|mailto:|tel:) ]] || die "origin is on no forge that is known here:" \
        "give the address for private reports of flaws with --contact https://... or mailto:..."
}

# In debian/changelog a first line that says UNRELEASED becomes this release, else it gets an entry.
write_debian_changelog() {
    local maintainer entry=debian/changelog
    maintainer=$(sed -n 's/^Maintainer: //p' debian/control)
    if head -n 1 $entry | grep -q ' UNRELEASED;'; then
        sed -i -e "1s/.*/postern ($version-1) unstable; urgency=medium/" \
            -e "0,/^ -- /s/^ -- .*/ -- $maintainer  $(date -uR)/" $entry
    else
        printf 'postern (%s-1) unstable; urgency=medium\n\n  * %s\n\n -- %s  %s\n\n' "$version" \
            "New release; CHANGELOG.md has the changes." "$maintainer" "$(date -uR)" |
            cat - $entry >$entry.new
        mv $entry.new $entry
    fi
}

write_version() {
    sed -i "s/^  version: '.*',/  version: '$version',/" meson.build
    sed -i "s/^Version: .*/Version:        $version/" scripts/postern.spec
    sed -i "s/^ARG VERSION=.*/ARG VERSION=$version/" docker/Dockerfile
    sed -i "s/^version: .*/version: $version/" docker/home-assistant/config.yaml
    sed -i "s|\(image: registry.example.org/postern\):.*|\1:$version|" config/kubernetes/*.yaml
    sed -i "s/^## \[Unreleased\]/&\n\n## [$version] - $(date -u +%F)/" CHANGELOG.md
    write_debian_changelog
}

commit_and_tag() {
    local sign=--sign
    [ -z "$dry_run" ] || sign=--no-sign
    git commit --quiet --all --message "release: $version"
    {
        printf 'Postern %s\n' "$version"
        changes_of "$version"
    } | git tag --annotate $sign --cleanup=whitespace --file=- "v$version" ||
        die "no tag could be signed (see CONTRIBUTING.md); undo the commit: git reset --hard HEAD^"
}

write_security_txt() {
    sed -e "s|@CONTACT@|$contact|" -e "s|@EXPIRES@|$(date -u -d '+1 year -1 day' +%FT00:00:00Z)|" \
        -e "$([ -n "$policy" ] && echo "s|@POLICY@|$policy|" || echo '/@POLICY@/d')" \
        docs/security.txt.in >"$output/security.txt"
}

# With the key and in the way that signs the tag.
sign() { # FILE
    local key
    key=$(git config user.signingkey || true)
    if [ "$(git config gpg.format || true)" = ssh ]; then
        ssh-keygen -q -Y sign -n file -f "${key/#\~/$HOME}" "$1"
    else
        gpg --armor --detach-sign ${key:+--local-user "$key"} "$1"
    fi
}

make_files() {
    rm -rf "$output"
    scripts/package.sh "$output" --source
    ./dev dist
    mv "postern-$version.tar.gz" "$output/"
    SOURCE_DATE_EPOCH=$(git show --no-patch --format=%ct HEAD) python3 scripts/sbom.py \
        "$output/postern-$version.spdx.json" subprojects/wolfssl.wrap "$version" \
        "$output/postern-$version.tar.gz"
    write_security_txt
    (cd "$output" && sha256sum -- * >SHA256SUMS)
    [ -n "$dry_run" ] || sign "$output/SHA256SUMS"
}

enter_clone() {
    local clone
    clone=$(mktemp -d)
    # shellcheck disable=SC2064 # expanded now
    trap "rm -rf '$clone'" EXIT
    git clone --quiet . "$clone"
    git -C "$clone" remote set-url origin "$(git remote get-url origin 2>/dev/null || echo none)"
    git -C "$clone" config user.name "$(git config user.name)"
    git -C "$clone" config user.email "$(git config user.email)"
    cp -r subprojects/packagecache "$clone/subprojects/"
    cd "$clone"
}

read_arguments "$@"
check_state
find_contact
[ -z "$dry_run" ] || enter_clone
write_version
commit_and_tag
make_files
git show --stat --format='%h %s' HEAD >&2
ls -l "$output" >&2
if [ -n "$dry_run" ]; then
    say "this was a dry run: nothing but build-release was made"
else
    say "v$version is tagged, and build-release has its files. To publish them:"
    say "  git push --atomic origin HEAD v$version"
    say "then attach the files to the forge's release, and serve security.txt below /.well-known/"
fi
