#!/bin/sh
# Holds one namespace of the lab, and ends it with everything in it.
#
#   unshare --net --mount --uts --propagation private sh namespace-holder.sh FOLDER NAME
#
# The test that started us keeps our standard input open. When it closes it, or dies in any way, the read below ends: we kill every
# process that lives in our network or mount namespace and leave. With the last process the kernel takes back the namespace, its
# devices, addresses, routes, rules and mounts. The last holder of a lab removes the lab's folder.
set -eu
folder=$1
name=$2
trap '' HUP INT TERM # a Ctrl-C at the test must not end us before our work is done

# What programs see as the machine: its own /run, and copies on write of /etc and /var/lib.
mount -t tmpfs -o mode=755 lab /run
for path in etc var/lib; do
  mkdir -p "/run/lab/$path/upper" "/run/lab/$path/work"
  mount -t overlay lab -o "lowerdir=/$path,upperdir=/run/lab/$path/upper,workdir=/run/lab/$path/work" "/$path"
done
mount -t sysfs lab /sys # /sys/class/net of this namespace
hostname "$name"

# No address waits for duplicate detection, none is lost with the carrier, and nobody advertises routers here.
for scope in all default; do
  echo 0 >"/proc/sys/net/ipv6/conf/$scope/accept_dad"
  echo 0 >"/proc/sys/net/ipv6/conf/$scope/accept_ra"
  echo 1 >"/proc/sys/net/ipv6/conf/$scope/keep_addr_on_down"
done
ip link set lo up

: >"$folder/holders/$name"
echo ready
exec >/dev/null 2>&1 # nobody reads us once the test is dead: a message must not end us

while read -r _; do :; done

# -ef compares device and inode, so this is never another process that came to the same number; a zombie has no namespace.
# Again until a round finds nobody: a process may have started another one meanwhile. 500 rounds: 10 s for one that cannot die.
set +e
rounds=500
found=yes
while [ "$found" = yes ] && [ $rounds -gt 0 ]; do
  found=no
  rounds=$((rounds - 1))
  for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    [ "$pid" = $$ ] && continue
    if [ "$process/ns/net" -ef /proc/$$/ns/net ] || [ "$process/ns/mnt" -ef /proc/$$/ns/mnt ]; then
      kill -KILL "$pid" && found=yes
    fi
  done
  [ "$found" = yes ] && sleep 0.02
done

rm -f "$folder/holders/$name"
rmdir "$folder/holders" 2>/dev/null && rm -rf "$folder"
exit 0
