# Shared by ./check and ./quickstart: say what is done, install what is missing, build.
# shellcheck shell=sh

# What a build needs, and what the tests and the demonstration need on top.
build_packages='gcc libc6-dev meson ninja-build pkg-config python3-minimal python3
 libssl-dev libsodium-dev libjansson-dev libzstd-dev libnghttp2-dev libmnl-dev libsqlite3-dev
 libyaml-dev libseccomp-dev libsystemd-dev libqrencode-dev libipsec-mb-dev'
run_packages='iproute2 nftables iputils-ping procps ca-certificates'
demo_packages="$run_packages iperf3 curl openssl bind9-dnsutils"
test_packages="$demo_packages binutils git clang libclang-rt-14-dev clang-format-14 wireguard-tools tcpdump
 bind9-dnsutils dnsmasq-base busybox-static pebble jq openssh-client openssl dbus conntrack ethtool iptables
 python3-venv scdoc"
package_packages='debootstrap debhelper dpkg-dev fakeroot lintian util-linux'

say() {
	printf '==> %s\n' "$*"
}

die() {
	printf '%s\n' "$*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "$1 needs root: it makes network namespaces. Run: sudo $1"
}

is_installed() {
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# install_missing PACKAGE...: nothing is asked, and no service is started.
install_missing() {
	command -v apt-get >/dev/null || {
		say "no apt-get here: taking for granted that these are there: $*"
		return 0
	}
	missing=
	for package in "$@"; do
		# ipsec-mb exists for x86 only; the build does without it elsewhere
		[ "$package" = libipsec-mb-dev ] && [ "$(uname -m)" != x86_64 ] && continue
		is_installed "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || die "not installed:$missing. Run this with sudo, or install them."
	say "installing what is missing:$missing"
	policy=/usr/sbin/policy-rc.d
	made=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		made=1
	fi
	status=0
	log=$(mktemp)
	{
		apt-get update -qq &&
			# shellcheck disable=SC2086
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
	} >"$log" 2>&1 </dev/null || status=$?
	[ -n "$made" ] && rm -f $policy
	[ $status = 0 ] || tail -n 20 "$log" >&2
	rm -f "$log"
	[ $status = 0 ] || die "apt-get could not install them"
}

# build DIR [meson options]: configures once, then builds; the compiler's words only on failure.
build() {
	dir=$1
	shift
	[ -e "$dir/build.ninja" ] || {
		meson setup "$dir" "$@" >"$dir.log" 2>&1 || {
			cat "$dir.log" >&2
			die "meson could not set up $dir"
		}
	}
	ninja -C "$dir" >"$dir.log" 2>&1 || {
		grep -E 'error|warning:|FAILED' "$dir.log" | head -n 40 >&2
		die "the build in $dir failed; all of it is in $dir.log"
	}
}
