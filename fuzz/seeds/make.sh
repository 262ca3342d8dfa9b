#!/usr/bin/env bash
# Record the seeds: what real git says, and below that what a hostile peer could say. Run it again after a change here;
# ids and dates are fixed, so only git's own version shows in what comes out.

set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
seeds=$PWD
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

export HOME=$work GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$work/config LC_ALL=C
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='1700000000 +0000'
export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org GIT_COMMITTER_DATE='1700000000 +0000'
git config --file "$work/config" transfer.advertiseSID false
git config --file "$work/config" uploadpack.allowFilter true
git config --file "$work/config" uploadpack.allowAnySHA1InWant true
git config --file "$work/config" init.defaultBranch main

for target in pkt_lines advertisement ls_refs fetch_answer report_status sideband url helper_command pack pump; do
    rm -rf "${seeds:?}/$target"
    mkdir "$target"
done

# One pkt-line; printf's escapes in the text are obeyed.
pkt() { # <text>
    local text
    printf -v text '%b_' "$1"
    text=${text%_}
    printf '%04x%b' $((${#text} + 4)) "$1"
}
flush() { printf 0000; }
delim() { printf 0001; }
# A NUL would end bash's string: its line is counted with another byte in its place.
pkt_with_nul() { # <before> <after>
    printf '%04x%s\0%b' $((${#1} + ${#2} + 5)) "$1" "$2"
}

make_source() { # <format>
    local repo=$work/$1.git nr
    git init -q --bare --object-format="$1" "$repo"
    {
        for nr in 1 2 3; do
            printf 'commit refs/heads/main\ncommitter A <a@example.org> 170000000%s +0000\ndata 2\nm%s\n' $nr $nr
            printf 'M 100644 inline f%s\ndata <<EOF\n' $nr
            seq 1 $((100 + nr))
            printf 'EOF\n\n'
        done
        printf 'tag v1\nfrom refs/heads/main\ntagger A <a@example.org> 1700000000 +0000\ndata 1\nt\n'
    } | git -C "$repo" fast-import --quiet
    git -C "$repo" update-ref refs/heads/dev/x main~1
}
make_source sha1
make_source sha256
git init -q --bare "$work/empty.git"
src=$work/sha1.git
main=$(git -C "$src" rev-parse main)
old=$(git -C "$src" rev-parse main~2)
zero=0000000000000000000000000000000000000000

upload() { # <version> <repository>
    GIT_PROTOCOL=version=$1 git upload-pack "${@:3}" "$2"
}

for format in sha1 sha256; do
    repo=$work/$format.git
    upload 0 "$repo" --http-backend-info-refs >advertisement/upload-pack-v0-$format
    upload 1 "$repo" --http-backend-info-refs >advertisement/upload-pack-v1-$format
    { pkt 'command=ls-refs\n'; pkt "object-format=$format"; delim; pkt 'peel\n'; pkt 'symrefs\n'; pkt 'unborn\n'; flush; flush; } |
        upload 2 "$repo" >advertisement/upload-pack-v2-$format
    { pkt 'command=ls-refs\n'; pkt "object-format=$format"; delim; pkt 'peel\n'; pkt 'symrefs\n'; flush; } |
        upload 2 "$repo" --stateless-rpc >ls_refs/$format
    git receive-pack --http-backend-info-refs "$repo" >advertisement/receive-pack-$format
done
{ pkt '# service=git-upload-pack\n'; flush; cat advertisement/upload-pack-v0-sha1; } >advertisement/http-upload-pack
{ pkt '# service=git-receive-pack\n'; flush; cat advertisement/receive-pack-sha1; } >advertisement/http-receive-pack
upload 0 "$work/empty.git" --http-backend-info-refs >advertisement/upload-pack-empty
git receive-pack --http-backend-info-refs "$work/empty.git" >advertisement/receive-pack-empty
git clone -q --bare --shared "$src" "$work/borrower.git"
git -C "$work/borrower.git" update-ref -d refs/heads/dev/x
git receive-pack --http-backend-info-refs "$work/borrower.git" >advertisement/receive-pack-haves
git clone -q --bare --depth 1 "file://$src" "$work/shallow.git"
upload 0 "$work/shallow.git" --http-backend-info-refs >advertisement/upload-pack-shallow
{ pkt 'command=ls-refs\n'; delim; pkt 'symrefs\n'; pkt 'unborn\n'; flush; } |
    upload 2 "$work/empty.git" --stateless-rpc >ls_refs/unborn

fetch_v2() { # <argument>...
    { pkt 'command=fetch'; delim; for line; do pkt "$line\n"; done; flush; } | upload 2 "$src" --stateless-rpc
}
fetch_v2 "want $main" ofs-delta 'filter tree:0' 'deepen 1' 'done' >fetch_answer/v2-tips 2>/dev/null
fetch_v2 "want $main" "have $old" thin-pack ofs-delta 'done' >fetch_answer/v2-pack
fetch_v2 "want $main" "have ${old//[a-f]/0}" >fetch_answer/v2-acknowledged
fetch_v2 "have $old" "want $main" >fetch_answer/v2-ready
fetch_v2 "want $old" "have $main" 'done' no-progress >fetch_answer/v2-empty-pack
{ pkt "want $main side-band-64k ofs-delta no-progress\n"; flush; pkt 'done\n'; } |
    upload 0 "$src" --stateless-rpc >fetch_answer/v0-pack
{ pkt "want $main side-band-64k shallow\n"; pkt 'deepen 1\n'; flush; pkt 'done\n'; } |
    upload 0 "$src" --stateless-rpc >fetch_answer/v0-deepened
{ pkt "want ${main//[a-f]/0} side-band-64k\n"; flush; pkt 'done\n'; } |
    upload 0 "$src" --stateless-rpc >fetch_answer/v0-not-our-ref 2>/dev/null || true

everything() { # <repository> <argument>...
    git -C "$1" cat-file --batch-all-objects --batch-check='%(objectname)' |
        git -C "$1" pack-objects --stdout -q --threads=1 --window=10 "${@:2}"
}
everything "$src" --delta-base-offset >pack/ofs-deltas
everything "$src" >pack/ref-deltas
everything "$work/sha256.git" --delta-base-offset >pack/sha256
git -C "$src" pack-objects --stdout -q </dev/null >pack/empty
printf '%s\n^%s\n' "$main" "$old" | git -C "$src" pack-objects --stdout -q --revs --thin >pack/thin
git -C "$src" rev-list --objects --filter=tree:0 --all | cut -d' ' -f1 | git -C "$src" pack-objects --stdout -q >pack/history
cp pack/{ofs-deltas,empty,thin,sha256} pump

# The report of a push, with and without side-band. Nothing is read behind the commands of a deletion.
report() { # <capabilities> <refs to delete>...
    git clone -q --bare "$src" "$work/target.git"
    git -C "$work/target.git" config receive.denyDeleteCurrent warn
    # shellcheck disable=SC2016 # $1 is the hook's own.
    printf '#!/bin/sh\ncase $1 in *dev/x) echo "no way" >&2; exit 1;; esac\n' >"$work/target.git/hooks/update"
    chmod +x "$work/target.git/hooks/update"
    {
        pkt_with_nul "$(git -C "$src" rev-parse "$2") $zero $2" " $1"
        for ref in "${@:3}"; do pkt "$(git -C "$src" rev-parse "$ref") $zero $ref"; done
        flush
    } | git receive-pack --stateless-rpc "$work/target.git"
    rm -rf "$work/target.git"
}
report report-status refs/heads/dev/x refs/tags/v1 >report_status/v1
report report-status-v2 refs/heads/main refs/heads/dev/x refs/tags/v1 >report_status/v2
report 'report-status-v2 side-band-64k' refs/heads/main refs/heads/dev/x >report_status/v2-side-band
{
    pkt 'unpack ok\n'; pkt 'ok refs/for/main\n'; pkt 'option refname refs/changes/1\n'; pkt "option old-oid $old\n"
    pkt "option new-oid $main\n"; pkt 'option forced-update\n'; pkt 'option of-the-future x\n'; flush
} >report_status/v2-proc-receive

cp report_status/v2-side-band sideband/report
tail -c +13 fetch_answer/v2-pack >sideband/pack
cp advertisement/upload-pack-v2-sha1 fetch_answer/v2-pack fetch_answer/v2-tips ls_refs/sha1 pkt_lines
{ cat ls_refs/sha1; printf 0002; cat fetch_answer/v2-acknowledged; printf 0002; } >pkt_lines/stateless

# ---------------------------------------------------------------- what nobody honest says

one=1111111111111111111111111111111111111111
two=$one${one:0:24}
v0() { # <name of output> <line>...
    {
        pkt_with_nul "$one refs/heads/a" ' report-status side-band-64k symref=HEAD:refs/heads/a'
        for line in "${@:2}"; do pkt "$line"; done
        flush
    } >"advertisement/hostile-$1"
}
v0 twice "$one refs/heads/a" "$main refs/heads/a"
v0 other-format "$two refs/heads/b"
v0 null "$zero refs/heads/b"
v0 path "$one refs/heads/../../x"
v0 smuggled "$one refs/heads/b\nok refs/heads/c\n"
v0 peeled "$one refs/tags/x^{}" "$one .have" "shallow $two"
v0 error 'ERR no \033[2Jway'
v0 empty-line ''
{ pkt_with_nul "$one refs/heads/a" ' symref=HEAD:--delete symref=HEAD:refs/heads/../x'; flush; } >advertisement/hostile-head
{ pkt_with_nul '' 'a'; flush; } >advertisement/hostile-no-ref
printf '0005\n00000004fffe' >advertisement/hostile-lengths
{ pkt 'version 2'; pkt 'fetch'; flush; flush; } >advertisement/hostile-no-ls-refs
{ pkt '# service=git-upload-pack'; pkt '# service=git-upload-pack'; flush; } >advertisement/hostile-services
printf 'HTTP/1.1 200 OK\r\n\r\n<html>' >advertisement/hostile-html

{ pkt "$one HEAD symref-target:--delete"; pkt "$one refs/heads/a peeled:$one peeled:$one x:y"; flush; } >ls_refs/hostile-attributes
{ pkt "$one HEAD symref-target:refs/heads/a\n\n"; pkt "$one refs/heads/a\rb"; flush; } >ls_refs/hostile-control
{ pkt 'unborn refs/heads/a'; pkt 'unborn HEAD'; pkt "unborn HEAD symref-target:refs/heads/main"; flush; } >ls_refs/hostile-unborn
{ pkt "$one refs/heads/gr\0374n"; pkt "$one refs/heads/b"; delim; pkt "$two refs/heads/c"; flush; } >ls_refs/hostile-mixed

{ pkt 'acknowledgments\n'; pkt "ACK $main\n"; pkt 'ACK x\n'; delim; pkt 'packfile\n'; } >fetch_answer/hostile-acknowledgments
{ pkt 'shallow-info\n'; pkt "shallow $two\n"; pkt "unshallow $one\n"; delim; pkt 'packfile\n'; pkt '\0001PACK'; flush; } >fetch_answer/hostile-shallow
{ pkt 'NAK\n'; pkt '\0002a\033[2J\r'; pkt '\0003no\n'; flush; } >fetch_answer/hostile-error
{ pkt 'packfile\n'; delim; printf 0002; pkt '\0009x'; } >fetch_answer/hostile-bands

{ pkt 'unpack ok\n'; pkt 'ok refs/heads/main\n'; pkt 'option refname refs/x\nok refs/heads/other\n'; flush; } >report_status/hostile-refname
{ pkt 'unpack \033[2Jno\n'; pkt 'ng refs/heads/main \r\007\n'; pkt "option new-oid $two"; flush; } >report_status/hostile-words
{ pkt 'option refname x'; pkt 'ok'; pkt 'ng x'; flush; } >report_status/hostile-order
printf '+00dunpack ok0000' >report_status/hostile-length
{ pkt '\0001000eunpack ok'; pkt '\00010000'; pkt '\0002\033]0;x\007'; flush; } >report_status/hostile-side-band

{ pkt '\0001'; pkt '\0002'; pkt '\0001x'; flush; pkt '\0001y'; } >sideband/hostile-empty
{ pkt '\0004x'; flush; } >sideband/hostile-band
printf '0006\001a0001000200030004' >sideband/hostile-special
printf '+006\001a00050006' >pkt_lines/hostile-signs
printf '0002000200010002zzzz' >pkt_lines/hostile-special
printf 'ffff0002' >pkt_lines/hostile-cut

url() { printf '%s' "$2" >"url/$1"; }
url https 'https://me:pw@host:8443/a/b.git=>https://host/c?x=y#z'
url ssh 'ssh://git@[::1]:22/~me/x.git=>me@[host:2222]:a/b'
url scp 'host:path=>[::1]:x'
url daemon 'git://h:9418/%41%00%2f=>git+ssh://u:p@h/x'
url local '../a b=>file:///x'
url helper 'ext::sh -c x=>hg::https://u:p@h/x'
url unquoted 'https://u:p@h/x='
url hostile-dash 'ssh://-oProxyCommand=x/y=>-x:y'
url hostile-ports 'ssh://h:99999/x=>git://h:+22/x'
url hostile-brackets 'ssh://[::1/x=>u@[]:x'
url hostile-secrets 'https://a:b@c:d@e/f@g=>https://t@h?x@y'
url hostile-host "https://me:pw@hos'%00pe:/:w@ho=>https://h:/x"
url hostile-unicode $'https://h\xc3\xbc:\xe2\x80\xae@h/\xc3\xa4=>\xe2\x80\xae'

printf 'capabilities\noption verbosity 1\noption cas refs/heads/main:%s\noption push-option "a\\tb\\303\\244\\\\"\nlist for-push\npush +refs/heads/main:refs/heads/main\npush :refs/heads/x\npush HEAD:a:refs/x\n\n' "$main" >helper_command/push
printf 'capabilities\noption object-format true\noption depth 1\nstateless-connect git-upload-pack\n' >helper_command/fetch
# shellcheck disable=SC1003 # A lone backslash at the end is the point.
printf 'option push-option "\\777\\4\\' >helper_command/hostile-octal
printf 'option cas :%s\noption cas x:\npush \npush +\npush :\noption \noption push-option "' "$main" >helper_command/hostile-empty
printf 'option verbosity 99999999999999999999\npush \033[2J\xff\noption servpath "a\nb"\n' >helper_command/hostile-bytes

pack_head() { printf 'PACK\0\0\0\002\0\0\0\00%s' "$1"; }
pack_head 7 >pack/hostile-count
printf 'PACK\0\0\0\002\377\377\377\377' >pack/hostile-many
{ pack_head 1; printf '\277\377\377\377\377\377\377\377\177'; } >pack/hostile-size
{ pack_head 1; printf '\060x\234\003\0\0\0\0\001'; } >pack/hostile-blob
{ pack_head 1; printf '\140\001x\234\003\0\0\0\0\001'; } >pack/hostile-distance
cp pack/hostile-count pack/hostile-many pump
{ cat pack/empty; printf garbage; } >pump/hostile-tail
# Bombs: a blob, and a commit, of many times the bytes.
for kind in blob commit; do
    printf 'tree %s\n%060000d' "$one" 0 >"$work/zeros"
    oid=$(git -C "$src" hash-object -w --literally -t $kind "$work/zeros")
    printf '%s\n' "$oid" | git -C "$src" pack-objects --stdout -q >pack/hostile-$kind-bomb
done
