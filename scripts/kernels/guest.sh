#!/bin/sh
# The first process of a guest, whose root is the host's file system, read-only. It makes what a program may expect to
# write to, runs the command of the job, and says on the third serial line how that ended.
b=$URING_JOB/busybox
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# The kernel or first.sh may have done so already.
$b mount -t proc proc /proc 2>/dev/null
$b mount -t sysfs sys /sys 2>/dev/null
$b mount -t devtmpfs dev /dev 2>/dev/null
$b mkdir -p /dev/shm /dev/pts
$b mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
for module in "$URING_JOB"/modules/*; do $b insmod "$module" 2>/dev/null; done # first.sh may have loaded them
while read -r device type target; do
  $b mkdir -p "$target"
  $b mount -t "$type" "$device" "$target" && $b chmod 1777 "$target"
done < "$URING_JOB/drives"
for dir in /dev/shm /var/tmp /run $(cat "$URING_JOB/writable"); do
  $b mount -t tmpfs -o mode=1777 tmpfs "$dir"
done

# Without a seed the first getrandom(2) waits for seconds on Linux 5.10. RNDADDENTROPY: bits, bytes, the bytes.
perl -e 'open S, "<", shift; read S, $s, 256; open R, ">", "/dev/random"; ioctl R, 0x40085203, pack("ii", 2048, 256) . $s' "$URING_JOB/seed"

$b ip link set lo up
$b ip addr add fe80::1/64 dev lo # a link-local address, as any machine with a network card has
$b hostname guest
for line in ttyS1 ttyS2; do $b stty -F /dev/$line raw -echo; done
# The command writes into a pipe and never to a terminal, as in CI.
{ sh "$URING_JOB/command.sh" </dev/null; echo $? > /run/status; } 2>&1 | cat > /dev/ttyS1
echo "status $(cat /run/status)" > /dev/ttyS2
$b sync
$b poweroff -f
