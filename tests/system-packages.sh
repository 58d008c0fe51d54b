#!/usr/bin/env bash
# The Debian packages that tests and benchmarks use. As root they are installed, with the starting of services blocked; without
# root, or where that fails, the tests that need one are skipped by name. Exim can't be installed beside Postfix; it is only unpacked.
set -u
# No user of apt's own may read our folders, and none is needed.
apt() { apt-get -q -o APT::Sandbox::User=root "$@"; }

unpack_exim() {
  local folder=/var/cache/mailroom-tests/exim
  [ -x $folder/usr/sbin/exim4 ] && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Exim is not unpacked in $folder, and only root can do that. The tests that need it are skipped."
    return
  fi
  echo "Unpacking for the tests: exim4-daemon-light libnss-wrapper ..."
  local work
  work=$(mktemp -d)
  (
    cd "$work" && { apt download exim4-daemon-light libnss-wrapper || { apt update && apt download exim4-daemon-light libnss-wrapper; }; } &&
      for package in *.deb; do dpkg -x "$package" unpacked || exit 1; done &&
      chmod u-s unpacked/usr/sbin/exim4 && mkdir -p $folder && cp -a unpacked/. $folder
  ) >"$work/log" 2>&1 </dev/null || { tail -n 5 "$work/log"; echo "Could not unpack Exim. The tests that need it are skipped."; }
  rm -rf "$work"
}
unpack_exim
wanted=(curl postfix swaks libnet-ssleay-perl msmtp postgresql strace libfaketime nginx-light chromium knot)
wanted+=(dovecot-imapd dovecot-pop3d dovecot-lmtpd spamassassin)
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
