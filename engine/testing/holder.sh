#!/bin/sh
# Holds the namespaces of one lab. Called twice: `holder.sh internet TOKEN UPLINK` makes the neighbour's network and, inside it,
# calls `holder.sh host TOKEN UPLINK` for the lab host. The two live in nested PID namespaces, so that the lab host
# does not see the neighbour, and both die with the first. The lab host's init reads standard input: when the test
# process goes, however it goes, the pipe closes and everything ends.
#
# Prints `internet PID`, `host PID` and `ready` on standard output; anything else is an error message.
set -eu
role=$1 token=$2 uplink=$3

# The process's number as the test process sees it: /proc is not yet the lab's own.
read -r pid _ </proc/self/stat
echo "$role $pid"

if [ "$role" = internet ]; then
    mount -t tmpfs -o mode=0755 "$token-internet" /run
    exec 9</proc/self/ns/net
    unshare --net --mount --uts --ipc --pid --fork --kill-child --propagation private sh "$0" host "$token" "$uplink"
    exit
fi

# One process makes all mounts. It wants a regular file, and there is nothing yet in the neighbour's /run, which the lab
# host's will hide. The token in the source column matters: `mount --all` skips what seems to be mounted already.
{
    echo "$token /proc proc nosuid,nodev,noexec 0 0"
    echo "$token /sys sysfs nosuid,nodev,noexec 0 0"
    echo "$token /run tmpfs mode=0755,size=64m 0 0"
    echo "$token /var/log tmpfs mode=0755,size=64m 0 0"
    if [ -d /etc/netns ]; then echo "$token /etc/netns tmpfs mode=0755,size=16m 0 0"; fi
} >/run/fstab
mount --all --fstab /run/fstab

echo lab >/proc/sys/kernel/hostname

# A new network namespace inherits the machine's IPv4 forwarding (devconf_inherit_init_net); labs start without it.
# (`read` sees one character and then the end: so the kernel answers to a shell that reads by the byte.)
read -r forwarding </proc/sys/net/ipv4/ip_forward || :
[ "$forwarding" = 0 ] || echo 0 >/proc/sys/net/ipv4/ip_forward

if [ "$uplink" = no ]; then
    ip link set dev lo up
else
    # No link-local addresses: they and their routes come and go by timers, which would blur snapshots.
    ip -batch - <<EOF
link set dev lo up
link add name eth0 address 02:00:5e:00:71:02 type veth peer name eth0 address 02:00:5e:00:71:01 netns /proc/self/fd/9
link set dev eth0 addrgenmode none
address add 203.0.113.2/24 dev eth0
link set dev eth0 up
route add default via 203.0.113.1 dev eth0
EOF
    nsenter --net=/proc/self/fd/9 ip -batch - <<EOF
link set dev lo up
link set dev eth0 addrgenmode none
address add 203.0.113.1/24 dev eth0
link set dev eth0 up
EOF
    # The carrier comes a moment after the peer is up; until then links and routes still change.
    state=down
    until [ "$state" = up ]; do read -r state </sys/class/net/eth0/operstate; done
fi
exec 9<&-

echo ready
# As PID 1: with SIGCHLD ignored the kernel reaps orphans itself, and `cat` ends when the pipe does.
exec env --ignore-signal=CHLD cat >/dev/null 2>&1
