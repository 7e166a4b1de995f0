#!/bin/sh
# Installs the clients that the tests drive the example servers with, on Debian and Ubuntu.
set -eu
export DEBIAN_FRONTEND=noninteractive
run() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
run apt-get update
run apt-get install -y --no-install-recommends redis-tools curl
