#!/bin/sh
# Installs what some tests are driven with, on Debian and Ubuntu: clients of the example servers, strace, which makes system
# calls fail, and btrfs, which has quotas. Tests with disks of their own need root and loop devices besides.
set -eu
export DEBIAN_FRONTEND=noninteractive
run() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
run apt-get update
run apt-get install -y --no-install-recommends redis-tools curl strace btrfs-progs
