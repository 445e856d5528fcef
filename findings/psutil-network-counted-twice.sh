#!/usr/bin/env bash
# psutil 7.2.2: net_io_counters() without pernic adds up an interface and what is stacked on it, so traffic over a VLAN, bond, bridge or tunnel
# counts twice, and traffic over loopback counts too. disk_io_counters() without perdisk, its sibling, counts each byte once.
#
# Most would expect: "system-wide network I/O statistics" are what went over the wire. A server whose 1,000 bytes came in over VLAN 100 of eth0
# has received 1,000 bytes; what processes of the machine said to each other over loopback has not been received by it at all.
#
# What happens: eth0, eth0.100 and lo are summed: 1,000 + 1,000 + 500. On a host with a bond under a bridge every byte counts three times.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check psutil==7.2.2
mkdir -p proc/net
cat >proc/net/dev <<'TABLE'
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0
  eth0:    1000      10    0    0    0     0          0         0      300       3    0    0    0     0       0          0
eth0.100:  1000      10    0    0    0     0          0         0      300       3    0    0    0     0       0          0
TABLE
received=$(env/bin/python -c 'import psutil; psutil.PROCFS_PATH = "proc"; print(psutil.net_io_counters(nowrap=False).bytes_recv)')
echo "1,000 bytes came over the wire; psutil says $received"
[ "$received" = 2500 ]
echo "as described"
