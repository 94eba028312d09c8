#!/bin/sh
# Becomes process 1 of a lab host: a machine of its own in everything but the kernel. All it makes (mounts, the loop
# device, the network) belongs to its namespaces, so it is gone when the host's last process is.
#
# LAB_PROCS     cgroup.procs files of the host's cgroup, one in every hierarchy
# LAB_NAME      host name            LAB_FS    file system of the disk
# LAB_DIR       folder on the machine with disk.img, and `disk` and `root` to mount on
# LAB_BASE      Debian tree          LAB_CLONE clone of Cargo to show at /opt/cargo, or empty
# LAB_CODE      the machine's cache of compiled code for what runs from there
# LAB_HOSTS     lines of /etc/hosts  LAB_DNS   name server: answers nobody, at once
set -eu

if [ "${1-}" != inside ]; then
  # Fails where `down` has removed the group meanwhile: nothing outlives it.
  for procs in $LAB_PROCS; do echo $$ >"$procs"; done
  # The hierarchies are listed here: in a cgroup namespace of its own a process sees itself at their root.
  exec unshare --net --mount --propagation private --uts --ipc --pid --cgroup --fork "$0" inside
fi

disk=$LAB_DIR/disk
root=$LAB_DIR/root
mount -t "$LAB_FS" -o loop "$LAB_DIR/disk.img" "$disk"
mkdir -p "$disk/root" "$disk/work" "$disk/docker" "$disk/containerd" "$disk/cargo"
mount -t overlay -o "lowerdir=$LAB_BASE,upperdir=$disk/root,workdir=$disk/work" overlay "$root"
cd "$root"

mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
mount -t tmpfs -o nosuid,nodev tmpfs tmp
mkdir run/lock

mount -t tmpfs -o nosuid,mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/mqueue dev/net
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs dev/shm
mount -t mqueue mqueue dev/mqueue
while read -r name major minor; do mknod -m 666 "dev/$name" c "$major" "$minor"; done <<NODES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
fuse 10 229
net/tun 10 200
NODES
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr

mount -t tmpfs -o nosuid,nodev,noexec,mode=755 tmpfs sys/fs/cgroup
while IFS=: read -r _ options _; do
  [ -n "$options" ] || continue
  name=${options#name=}
  mkdir "sys/fs/cgroup/$name"
  [ "$name" = "$options" ] || options=none,$options
  mount -t cgroup -o "nosuid,nodev,noexec,$options" cgroup "sys/fs/cgroup/$name"
done </proc/self/cgroup

# overlay2 can't stack on an overlay, and fanotify's pre-content events need a real file system.
for data in docker containerd cargo; do
  mkdir -p "var/lib/$data"
  mount --bind "$disk/$data" "var/lib/$data"
done
if [ -n "$LAB_CLONE" ]; then
  mkdir -p opt/cargo
  mount --bind "$LAB_CLONE" opt/cargo
  mount -o remount,bind,ro opt/cargo
  mkdir -p var/cache/cargo
  mount --bind "$LAB_CODE" var/cache/cargo
fi

hostname "$LAB_NAME"
echo "$LAB_NAME" >etc/hostname
printf '127.0.0.1 localhost\n%s\n' "$LAB_HOSTS" >etc/hosts
echo "nameserver $LAB_DNS" >etc/resolv.conf

pivot_root . mnt
cd /
umount -l /mnt
exec /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  tini -s -- sh -c 'echo up >/run/lab-ready; exec sleep infinity'
