#!/bin/bash
# Runs this machine's own systemd as process 1 of new namespaces, over an overlay of /: nothing of it gets out but what is
# written to the spool. $1 is a directory, $2 the binary to test, $3 the directory of the units; where that is empty, systemd
# has never heard of lastwords. $4 holds the files of another systemd, which lie over those of /; empty for this machine's own.
set -euo pipefail
dir=$1 binary=$2 units=$3 newer=$4

if [ -z "${inside:-}" ]; then
    # Control groups of its own, below ours.
    while IFS= read -r group; do
        case ${group%%:*} in
        '') tree=unified && [ -d /sys/fs/cgroup/unified ] || tree=. ;;
        name=*) tree=${group%%:*} tree=${tree#name=} ;;
        *) tree=${group%%:*} ;;
        esac
        [ -d "/sys/fs/cgroup/$tree" ] || continue
        own=/sys/fs/cgroup/$tree${group#*:}
        own=${own%/}/lastwords-test-$(basename "$dir")
        mkdir "$own"
        if [ "$tree" = cpuset ]; then
            for file in cpuset.cpus cpuset.mems; do cat "$own/../$file" >"$own/$file"; done
        fi
        echo "$own" >>"$dir/cgroups"
        echo $$ >"$own/cgroup.procs"
    done < <(cut -d: -f2- /proc/self/cgroup)
    inside=1 exec unshare --pid --fork --kill-child --mount --uts --ipc --net --cgroup --propagation private \
        bash "$0" "$@"
fi

hostname db1
ip link set lo up
mkdir "$dir/root" "$dir/layer"
mount -t tmpfs tmpfs "$dir/layer"
mkdir "$dir/layer/upper" "$dir/layer/work"
# It is no layer of its own: it lies below /, which is one.
[ -z "$newer" ] || cp -a "$newer/." "$dir/layer/upper/"
mount -t overlay -o "lowerdir=/,upperdir=$dir/layer/upper,workdir=$dir/layer/work" overlay "$dir/root"
cd "$dir/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty kmsg; do
    : >dev/$device
    mount --bind "/dev/$device" dev/$device
done
ln -s /proc/self/fd dev/fd
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for place in dev/shm run tmp; do mount -t tmpfs tmpfs $place; done
mkdir -p var/spool/lastwords var/spool/told
mount --bind "$dir/spool" var/spool/lastwords
mount --bind "$dir/told" var/spool/told
: >usr/bin/lastwords
mount --bind "$binary" usr/bin/lastwords

if grep -q '^0::' /proc/self/cgroup && ! grep -qv '^0::' /proc/self/cgroup; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    while IFS= read -r controllers; do
        name=${controllers#name=}
        mkdir "sys/fs/cgroup/$name"
        mount -t cgroup -o "$([ "$name" = "$controllers" ] || printf 'none,')$controllers" cgroup "sys/fs/cgroup/$name"
    done < <(grep -v '^0::' /proc/self/cgroup | cut -d: -f2)
    mkdir sys/fs/cgroup/unified
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi

# Nothing of the machine's own services.
rm -rf etc/systemd etc/lastwords
mkdir -p etc/systemd/system etc/systemd/journald.conf.d etc/lastwords
ours=${units:+lastwords.path lastwords.timer}
cat >etc/systemd/system/default.target <<UNIT
[Unit]
Requires=systemd-journald.service dbus.socket $ours
After=systemd-journald.service dbus.socket $ours
AllowIsolate=yes
UNIT
printf '[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nReadKMsg=no\n' >etc/systemd/journald.conf.d/test.conf
if [ -n "$units" ]; then
    cp "$units"/lastwords.service "$units"/lastwords.path "$units"/lastwords.timer "$units"/lastwords@.service \
        etc/systemd/system/
    # As the drop-in itself says: around every service but its own.
    mkdir etc/systemd/system/service.d
    cp "$units/lastwords.conf" etc/systemd/system/service.d/
    for own in lastwords.service.d lastwords@.service.d; do
        mkdir etc/systemd/system/$own
        ln -s /dev/null etc/systemd/system/$own/lastwords.conf
    done
fi

mkdir .old
pivot_root . .old
umount -l /.old
mount --make-rshared /
exec env -i container=lastwords-test PATH="$PATH" LANG=C.UTF-8 TERM=dumb \
    /lib/systemd/systemd --system --show-status=no --log-target=journal --unit=default.target
