#!/bin/busybox sh
# The first process of an emulated machine, in its initramfs: finds the root file system and hands over to guest.sh.
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for module in /modules/*; do [ -f "$module" ] && $b insmod "$module"; done
# Controllers come up in any order: a drive is known by its serial number.
for serial in $(echo "$URING_DRIVES" | $b tr , " "); do
  for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    for disk in /sys/block/nvme*; do
      [ -b "/dev/${disk##*/}" ] || continue # the hidden twins of multipath
      [ "$($b tr -d ' ' < "$disk/device/serial")" = "$serial" ] && $b ln -sf "${disk##*/}" "/dev/$serial"
    done
    [ -b "/dev/$serial" ] && break
    $b usleep 100000
  done
done
$b mount -t ext4 -o ro /dev/root-drive /root
for dir in dev proc sys; do $b mount -o move /$dir /root/$dir; done
exec $b switch_root /root "$URING_INIT"
