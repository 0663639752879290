#!/usr/bin/env bash
# Apache httpd 2.4.71: `growth` of a balancer takes 1 to 100 only, and not the 0 that its manual gives as the default.
#
# mod_proxy's manual lists `growth` among the parameters of a balancer: default 0, "number of additional BalancerMembers to
# allow to be added", and no bound. `ProxySet growth=0` and `growth=101` are syntax errors, and httpd does not start; 1 and
# 100 are taken. So a balancer that must take more than 100 members at run time cannot be had. Debian 12,
# apache2-bin 2.4.71-1~deb12u1 with the manual of the same version; seen 2026-11-30.
#
# Prints the manual's words and what `apache2 -t` says to each value; exits 1 if that is no longer so.
set -euo pipefail
readonly VERSION=2.4.71-1~deb12u1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
# unpacked here and installed nowhere
apt-get download -q -o APT::Sandbox::User=root "apache2-bin=$VERSION" "apache2-doc=$VERSION" \
    libapr1 libaprutil1 libpcre2-8-0 libuuid1 libcrypt1 libexpat1 > /dev/null
for package in ./*.deb; do dpkg -x "$package" root; done
export LD_LIBRARY_PATH=$dir/root/usr/lib/x86_64-linux-gnu:$dir/root/lib/x86_64-linux-gnu

sed -n '/<td>growth<\/td>/,/<\/tr>/p' root/usr/share/doc/apache2-doc/manual/en/mod/mod_proxy.html |
    sed 's/<[^>]*>//g' | tr -s ' \n' ' ' > manual
echo "the manual: $(cat manual)"
grep -q 'growth 0 Number of additional BalancerMembers to allow' manual

# answer GROWTH: what a test of the configuration says
answer() {
    {
        printf 'ServerRoot %s\nServerName localhost\nListen 127.0.0.1:28080\nDefaultRuntimeDir %s\nErrorLog %s/error.log\n' "$dir" "$dir" "$dir"
        for module in mpm_event authz_core proxy proxy_http proxy_balancer lbmethod_bybusyness slotmem_shm; do
            printf 'LoadModule %s_module %s/root/usr/lib/apache2/modules/mod_%s.so\n' "$module" "$dir" "$module"
        done
        printf '<Proxy balancer://web>\nBalancerMember http://127.0.0.1:28081\nProxySet growth=%s\n</Proxy>\n' "$1"
    } > httpd.conf
    root/usr/sbin/apache2 -t -f "$dir/httpd.conf" 2>&1 || true
}

verdict=0
for growth in 0 1 100 101; do
    said=$(answer "$growth" | tail -1)
    echo "growth=$growth: $said"
    case $growth in
        1 | 100) [[ $said == "Syntax OK" ]] || verdict=1 ;;
        *) [[ $said == *"growth must be between 1 and 100"* ]] || verdict=1 ;;
    esac
done
exit "$verdict"
