#!/bin/sh
# Stands in for a tool in a lab: counts the call, and does to it what the plan says. Builtins only where nothing is planned,
# so that a call costs hardly more than the tool. The environment means nothing here: everything is in files.
shim=/run/shim
cover=@COVER@
name=${0##*/}
real=$shim/real/$name
[ -e "$real" ] || real=$shim/real/$cover
[ -e "$shim/tools/$name" ] || exec "$real" "$@"

# The call's number: whoever creates the file first has it.
n=1
set -C
until { printf '%s\0' "$name" "$@" >"$shim/calls/$n"; } 2>/dev/null; do
    n=$((n + 1))
    if [ "$n" -gt 99999 ]; then echo "$name: the shim can't count" >&2; exit 125; fi
done
set +C

# The plan looks at $n and $line, and sets $action.
action=
# shellcheck disable=SC2034
line="$name $*"
# shellcheck source=/dev/null
. "$shim/plan"

# Where standard input is the command, as with `ip -batch -` and `iptables-restore`: keep a copy.
batch=
previous=
for word in "$@"; do
    case $previous in -b | -ba | -bat | -batc | -batch | --batch) batch=$word ;; esac
    previous=$word
done
case $name in *-restore) batch=- ;; esac
if [ "$batch" = - ] && [ -e "$shim/record" ]; then
    cat >"$shim/stdin/$n"
    exec <"$shim/stdin/$n"
elif [ "$batch" ] && [ -e "$shim/record" ]; then
    cat "$batch" >"$shim/stdin/$n"
fi

[ "$action" ] || exec "$real" "$@"
echo "$n $action" >>"$shim/done"

misused() {
    echo "$n $name: $1" >>"$shim/misused"
    echo "$name: shim: $1" >&2
    exit 125
}

# What somebody else does meanwhile, on the host; with the real tools, so that their calls don't count.
# Says so if there was anything to do.
stranger() {
    if PATH=$shim/real:$PATH nsenter --net=/proc/1/ns/net sh -c ". $shim/stranger" </dev/null >>"$shim/said" 2>&1; then : >"$shim/acted"; fi
}

injected() {
    echo "$name: injected failure (call $n)" >&2
    exit 1
}

# Nobody ever writes to this: opening it never returns.
never() { read -r _ <"$shim/never"; }

is_target() {
    { read -r words <"/proc/$1/cmdline"; } 2>/dev/null
    # shellcheck disable=SC2254  # the pattern is meant as one
    case $words in $pattern) return 0 ;; *) return 1 ;; esac
}

# The nearest ancestor that looks like nsctl; failing that (a step that was detached), any process that does.
# `read` drops the zero bytes between the words of a command line.
find_target() {
    if [ -s "$shim/target" ]; then read -r target <"$shim/target"; return; fi
    read -r pattern <"$shim/pattern"
    target=$PPID
    while [ "$target" -gt 1 ]; do
        is_target "$target" && return
        { read -r stat <"/proc/$target/stat"; } 2>/dev/null || break
        stat=${stat##*) }
        stat=${stat#? }
        target=${stat%% *}
    done
    for process in /proc/[0-9]*; do
        target=${process#/proc/}
        is_target "$target" && return
    done
    misused "no process to signal"
}

signal_target() {
    find_target
    rest=$1,
    while [ "$rest" ]; do
        kill -s "${rest%%,*}" "$target" || misused "kill -s ${rest%%,*} $target"
        rest=${rest#*,}
        # Two signals at once would be taken as one batch: give the first the time to be noticed.
        [ -z "$rest" ] || sleep 0.05
    done
}

# The first lines of standard input up to where $1 lines (that begin with $2) have been seen.
first_lines() {
    seen=0 number=0 text=''
    while [ "$seen" -lt "$1" ] && IFS= read -r row; do
        text="$text$row
"
        number=$((number + 1))
        case $row in "$2"*) seen=$((seen + 1)) ;; esac
    done
}

act() {
    "$real" "$@"
    code=$?
}

case $action in
fail-before) injected ;;
fail-after)
    act "$@"
    injected
    ;;
stranger-before)
    stranger
    exec "$real" "$@"
    ;;
stranger-after)
    act "$@"
    stranger
    exit "$code"
    ;;
status:*) exit "${action#status:}" ;;
hang) never ;;
hang-deaf)
    trap '' TERM INT HUP
    never
    ;;
hang-after)
    act "$@"
    never
    ;;
hang-grandchild)
    sh -c "read -r _ <$shim/never" nsctl-lab-grandchild &
    wait
    ;;
hold-pipe)
    act "$@"
    sh -c "read -r _ <$shim/never" nsctl-lab-grandchild &
    exit "$code"
    ;;
hold-pipe-session)
    act "$@"
    setsid sh -c "read -r _ <$shim/never" nsctl-lab-escaped &
    exit "$code"
    ;;
kill-parent-before)
    signal_target KILL
    exit 1
    ;;
kill-parent-after)
    act "$@"
    signal_target KILL
    exit "$code"
    ;;
orphan)
    signal_target KILL
    sleep 0.3
    exec "$real" "$@"
    ;;
signal-parent-before:*)
    signal_target "${action#*:}"
    exec "$real" "$@"
    ;;
signal-parent-after:*)
    act "$@"
    signal_target "${action#*:}"
    exit "$code"
    ;;
batch-stop:*)
    [ "$batch" ] || misused "batch-stop, but this is no batch"
    [ "$batch" = - ] || exec <"$batch"
    previous=
    for word in "$@"; do
        shift
        case $previous in -b | -ba | -bat | -batc | -batch | --batch) word=- ;; esac
        set -- "$@" "$word"
        previous=$word
    done
    first_lines "${action#*:}" ""
    code=0
    if [ "$text" ]; then
        printf '%s' "$text" | "$real" "$@"
        code=$?
    fi
    [ "$code" = 0 ] || exit "$code"
    echo "injected failure (call $n)" >&2
    echo "Command failed -:$((number + 1))" >&2
    exit 1
    ;;
restore-stop:*)
    case $name in *-restore) ;; *) misused "restore-stop, but this is no restore" ;; esac
    first_lines "${action#*:}" COMMIT
    code=0
    if [ "$text" ]; then
        printf '%s' "$text" | "$real" "$@"
        code=$?
    fi
    [ "$code" = 0 ] || exit "$code"
    echo "$name: line $((number + 1)) failed: injected (call $n)" >&2
    exit 1
    ;;
*) misused "unknown action $action" ;;
esac
