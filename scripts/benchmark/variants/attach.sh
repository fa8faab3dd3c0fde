#!/bin/sh
# The commands of nsctl's bridge mode (nsctl up bridge --isolate net --dry-run), one after the other, as a script.
#
#   attach.sh up FIRST LAST      attach the sandboxes FIRST to LAST
#   attach.sh down FIRST LAST    take them away, last first
set -eu
bridge=bench0 filter=BENCH-FORWARD nat=BENCH-POSTROUTING subnet=10.77.0.0/16 gateway=10.77.0.1

network_up() {
    ip link add dev $bridge address 02:00:00:00:00:01 mtu 1500 type bridge
    ip link set dev $bridge addrgenmode none
    sysctl -qw net/ipv6/conf/$bridge/accept_ra=0
    sysctl -qw net/ipv6/conf/$bridge/disable_ipv6=1
    ip addr add $gateway/16 brd + dev $bridge
    ip link set dev $bridge up
    iptables -w -t filter -N $filter
    iptables -w -t filter -A FORWARD -m comment --comment bench:jump -j $filter
    iptables -w -t filter -I $filter ! -i $bridge -o $bridge -m conntrack ! --ctstate RELATED,ESTABLISHED -m comment --comment bench -j DROP
    iptables -w -t filter -I $filter -i $bridge -m conntrack --ctstate INVALID -m comment --comment bench -j DROP
    iptables -w -t filter -A $filter -o $bridge -m comment --comment bench -j ACCEPT
    iptables -w -t filter -A $filter -i $bridge -m comment --comment bench -j ACCEPT
    iptables -w -t nat -N $nat
    iptables -w -t nat -A POSTROUTING -m comment --comment bench:jump -j $nat
    iptables -w -t nat -A $nat -s $subnet ! -o $bridge -m comment --comment bench -j MASQUERADE
    sysctl -qw net/ipv4/conf/$bridge/forwarding=1
    sysctl -qw net/ipv4/conf/eth0/forwarding=1
}

network_down() {
    sysctl -qw net/ipv4/conf/eth0/forwarding=0
    iptables -w -t nat -D POSTROUTING -m comment --comment bench:jump -j $nat
    iptables -w -t nat -F $nat
    iptables -w -t nat -X $nat
    iptables -w -t filter -D FORWARD -m comment --comment bench:jump -j $filter
    iptables -w -t filter -F $filter
    iptables -w -t filter -X $filter
    ip link del dev $bridge
}

sandbox_up() {
    address=$((1 + $1)) inside="nsenter --net=/run/netns/s-$1 --"
    mac=$(printf %02x:%02x $((address >> 8)) $((address & 255)))
    ip netns add "s-$1"
    ip link add dev "v-$1" address "02:00:00:01:$mac" mtu 1500 master $bridge type veth \
        peer name eth0 netns "s-$1" address "02:00:00:02:$mac" mtu 1500
    ip link set dev "v-$1" addrgenmode none
    $inside sysctl -qw net/ipv6/conf/eth0/disable_ipv6=1
    $inside sysctl -qw net/ipv4/conf/eth0/arp_notify=1
    ip link set dev "v-$1" up
    ip -n "s-$1" link set dev lo up
    ip -n "s-$1" addr add "10.77.$((address >> 8)).$((address & 255))/16" brd + dev eth0
    ip -n "s-$1" link set dev eth0 up
    ip -n "s-$1" route add default via $gateway dev eth0 metric 100
}

sandbox_down() {
    ip link del dev "v-$1"
    nsenter --net="/run/netns/s-$1" -- sh -c 'exec pkill -KILL --ns $$ --nslist net' || :
    ip netns del "s-$1"
}

# /sys belongs to the lab: looking there takes no process.
case $1 in
up)
    n=$2
    [ -d /sys/class/net/$bridge ] || network_up
    while [ "$n" -le "$3" ]; do
        sandbox_up "$n"
        n=$((n + 1))
    done
    ;;
down)
    n=$3
    while [ "$n" -ge "$2" ]; do
        sandbox_down "$n"
        n=$((n - 1))
    done
    for port in "/sys/class/net/$bridge/brif/"*; do
        [ -e "$port" ] || network_down
        break
    done
    ;;
esac
