#!/bin/sh
# Build git-remote-sync and install its programs, manual pages and completions for shells, or take away what an earlier
# run installed. Run it with --help for the options.

set -eu

usage() {
    cat <<'END'
usage: ./install.sh [--prefix DIR] [--no-build]
       ./install.sh [--prefix DIR] --uninstall

    --prefix DIR   install to DIR/bin and DIR/share (default: ~/.local)
    --no-build     install what an earlier `cargo build --release` made
    --uninstall    remove what an earlier run installed to DIR, and nothing else
END
}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit 1
}

# --- arguments ---

prefix=
build=yes
action=install
while [ $# -gt 0 ]; do
    case $1 in
    --prefix)
        [ $# -ge 2 ] || fail '--prefix needs a directory'
        prefix=$2
        [ -n "$prefix" ] || fail '--prefix needs a directory'
        shift
        ;;
    --prefix=?*) prefix=${1#--prefix=} ;;
    --no-build) build=no ;;
    --uninstall) action=uninstall ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        fail "unknown argument '$1'"
        ;;
    esac
    shift
done
if [ -z "$prefix" ]; then
    [ -n "${HOME:-}" ] || fail 'HOME is not set: say where to install with --prefix DIR'
    prefix=$HOME/.local
fi
case $prefix in
/*) ;;
*) prefix=$(pwd)/$prefix ;;
esac
prefix=${prefix%/}
# PATH is compared with it below.
[ ! -d "$prefix" ] || prefix=$(cd -- "$prefix" && pwd)

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
bin=$prefix/bin
man=$prefix/share/man/man1
# What is installed here: a line `f <file>` or `d <directory>` each, directories only where this script made them.
list=$prefix/share/git-remote-sync/installed

# --- uninstall ---

remove_listed_files() { # <list>
    while IFS= read -r line; do
        case $line in
        'f '*) rm -f -- "${line#f }" ;;
        esac
    done <"$1"
}

# Deepest first; what holds other files stays.
remove_listed_directories() { # <list>
    sed -n 's/^d //p' "$1" | sort -r | while IFS= read -r dir; do
        rmdir -- "$dir" 2>/dev/null || true
    done
}

uninstall() {
    [ -f "$list" ] || fail "nothing to remove: $list is not there"
    copy=$(mktemp)
    trap 'rm -f -- "$copy"' EXIT
    cat -- "$list" >"$copy"
    remove_listed_files "$copy"
    rm -f -- "$list"
    remove_listed_directories "$copy"
    echo "removed git-remote-sync from $prefix"
}

# --- install ---

require() { # <program> <where to get it>
    command -v "$1" >/dev/null 2>&1 || fail "$1 is not on PATH. $2"
}

# The programs of the package, without git-remote-sync: that is git-remote-relay under another name.
programs() {
    sed -n '/^\[\[bin\]\]/,/^path/s/^name = "\(.*\)"/\1/p' "$root/Cargo.toml" | grep -vx git-remote-sync
}

build() {
    # shellcheck disable=SC2016 # The user's shell expands it.
    require cargo 'Rust comes from https://rustup.rs (if you have it: . "$HOME/.cargo/env")'
    set -- build --release --locked --manifest-path "$root/Cargo.toml" --target-dir "$target"
    for program in $(programs); do
        set -- "$@" --bin "$program"
    done
    # The progress is for people.
    [ -t 2 ] || set -- "$@" --quiet
    cargo "$@" || fail 'the build failed'
}

# Like mkdir -p, but remembers what is new.
make_directory() { # <directory>
    [ -d "$1" ] && return
    make_directory "$(dirname -- "$1")"
    mkdir -- "$1" || fail "cannot create $1"
    printf 'd %s\n' "$1" >>"$new"
}

# A program may be running: write a new file and put it in place in one step.
put() { # <mode> <from> <to>
    { cp -- "$2" "$3.new" && chmod "$1" "$3.new" && mv -f -- "$3.new" "$3"; } || fail "cannot write $3"
    printf 'f %s\n' "$3" >>"$new"
}

# What the program prints about itself, where the shell looks for it.
put_completions() { # <shell> <file>
    make_directory "$(dirname -- "$2")"
    "$bin/git-relay" completions "$1" >"$new.script" || fail "cannot make the completions for $1"
    put 644 "$new.script" "$2"
}

put_alias() { # <existing> <name>
    if ln -f -- "$1" "$2.new" 2>/dev/null; then
        mv -f -- "$2.new" "$2" || fail "cannot write $2"
        printf 'f %s\n' "$2" >>"$new"
    else
        put 755 "$1" "$2"
    fi
}

# Files of an earlier version that this one does not have go; directories that were made stay known.
take_over_old_list() {
    [ -f "$list" ] || return 0
    grep '^d ' "$list" >>"$new" || true
    grep '^f ' "$list" | grep -vxF -f "$new" | sed 's/^f //' | while IFS= read -r file; do
        rm -f -- "$file"
    done
}

install() {
    require git 'git-remote-sync works through git: https://git-scm.com'
    target=${CARGO_TARGET_DIR:-$root/target}
    [ "$build" = no ] || build
    for program in $(programs); do
        [ -x "$target/release/$program" ] || fail "$target/release/$program is not there: run without --no-build"
    done
    new=$(mktemp)
    trap 'rm -f -- "$new" "$new.script"' EXIT
    make_directory "$bin"
    make_directory "$man"
    make_directory "$(dirname -- "$list")"
    for program in $(programs); do
        put 755 "$target/release/$program" "$bin/$program"
    done
    put_alias "$bin/git-remote-relay" "$bin/git-remote-sync"
    for page in "$root"/man/*.1; do
        put 644 "$page" "$man/$(basename -- "$page")"
    done
    put_completions bash "$prefix/share/bash-completion/completions/git-relay"
    put_completions zsh "$prefix/share/zsh/site-functions/_git-relay"
    put_completions fish "$prefix/share/fish/vendor_completions.d/git-relay.fish"
    take_over_old_list
    cp -- "$new" "$list" || fail "cannot write $list"
    echo "installed $(programs | tr '\n' ' ')and git-remote-sync to $bin, manual pages and completions to $prefix/share"
    advise
}

# --- what the user must know about PATH ---

advise() {
    case :$PATH: in
    *:"$bin":*) ;;
    *)
        # shellcheck disable=SC2016 # As above.
        printf 'put it on PATH:\n\n    export PATH="%s:$PATH"\n\n' "$bin"
        return
        ;;
    esac
    # Git looks into its own directory before PATH.
    found=$(PATH=$(git --exec-path):$PATH command -v git-remote-relay || true)
    if [ -n "$found" ] && [ "$found" != "$bin/git-remote-relay" ]; then
        echo "warning: git will run another one, which comes first: $found" >&2
    fi
}

"$action"
