# One of a router's two instances speaks. keepalived says what an instance has come to (SELF INSTANCE NAME
# STATE PRIORITY); starvirt says FORCE, and SELF is to speak. Any of them at any time, several at once.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
cd /run/starvirt/01900000-0000-7000-8000-eeeeeeeeeeee || exit 1
self=$1
state=$4
netns() {
    case $1 in
    0) echo svr-eeeeeeeeeeee ;;
    1) echo svs-eeeeeeeeeeee ;;
    esac
}
run() {
    in=$(netns "$1")
    shift
    nsenter --net="/run/netns/$in" "$@"
}
leads() {
    [ -n "$(ip -n "$(netns "$1")" -4 -o addr show dev ha0 to 169.254.248.3)" ]
}
silent() {
    run "$1" nft list table netdev standby >/dev/null
}
exec 2>/dev/null 9>>lock
[ "$state" = FORCE ] || echo "$state" >"state.$self"
flock -w 10 9 || exit 1
if [ "$state" = FORCE ] || { [ "$state" = MASTER ] && leads "$self"; }; then
    to=$self
elif ! leads "$self" && leads $((1 - self)); then
    to=$((1 - self))
else
    exit 0
fi
from=$((1 - to))
run $from nft -f silent.nft
silent $to || exit 0
conntrackd -C conntrackd.conf.$to -c
run $to nft -f speak.nft || exit 1
ip -n "$(netns $to)" -batch - <<EOF
link set dev tr0 address 02:ee:ee:ee:ee:ee
link set dev out0 address 02:ee:ee:ee:ee:ee
EOF
[ "$state" = FORCE ] || printf . >>turns
pid=$(cat balance.$to/haproxy.pid)
if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm")" = haproxy ]; then
    echo 1 >balance.$to/haproxy.state
    kill -USR2 "$pid"
fi
for order in -f -R -B; do
    conntrackd -C conntrackd.conf.$to $order
done
conntrackd -C conntrackd.conf.$from -t
exit 0
