#!/usr/bin/env bash
# The Debian packages that tests and benchmarks use. As root they are installed, with the starting of services blocked; without
# root, or where that fails, the tests that need one are skipped by name.
set -u
wanted=(curl postfix swaks libnet-ssleay-perl msmtp postgresql strace libfaketime nginx-light chromium knot)
wanted+=(dovecot-imapd dovecot-pop3d dovecot-lmtpd)
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not installed, and only root can install them: ${missing[*]}. The tests that need them are skipped."
  exit 0
fi
echo "Installing for the tests: ${missing[*]} ..."
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy
  trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
  tail -n 5 "$log"
  echo "Could not install: ${missing[*]}. The tests that need them are skipped."
fi
rm -f "$log"
exit 0
