#!/bin/sh
# The optional system tools that tests and benchmarks use: as root on Debian those are installed that are
# missing; what is missing then is said. Always exits with 0: what needs a tool that is not there is skipped.
#
#     sh tools/system_tools.sh WHO TOOL…
#
# A tool is named as its package is.
set -u
who=$1
shift

is_there() {
    case $1 in
        # Debian has the server's programs outside of PATH; psql is a wrapper where only that is installed
        postgresql)
            { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } && command -v psql ;;
        pgbouncer) command -v pgbouncer || ls /usr/sbin/pgbouncer ;;
        *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

look() {
    missing=
    for tool; do
        is_there "$tool" || missing="$missing $tool"
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=60 "$@" </dev/null >/dev/null 2>&1
}

# Tests start the servers that they need. Debian's packages would each start one of the machine's: what
# they ask is policy-rc.d (invoke-rc.d(8)), and, for a cluster, createcluster.conf (pg_createcluster(8)),
# which is put back afterwards. Nothing of that is done where PostgreSQL is installed already.
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf

put_back() {
    [ -z "${made_policy-}" ] || rm -f "$policy"
    [ ! -e "$clusters.before-tests" ] || mv -f "$clusters.before-tests" "$clusters"
}

install() {
    trap put_back EXIT
    trap 'exit 1' HUP INT TERM
    if [ ! -e "$policy" ]; then
        made_policy=yes
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt update
    case " $* " in
        *' postgresql '*)
            apt install -y --no-install-recommends postgresql-common
            if [ -e "$clusters" ]; then
                cp -p "$clusters" "$clusters.before-tests"
                echo 'create_main_cluster = false' >>"$clusters"
            fi ;;
    esac
    # One that cannot be had must not keep the others away.
    apt install -y --no-install-recommends "$@" \
        || for tool; do apt install -y --no-install-recommends "$tool"; done
    # PgBouncer would begin with the machine.
    case " $* " in *' pgbouncer '*) update-rc.d pgbouncer disable >/dev/null 2>&1 ;; esac
    put_back
    trap - EXIT HUP INT TERM
}

look "$@"
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
    # shellcheck disable=SC2086 # words
    install $missing
    look "$@"
fi
if [ -n "$missing" ]; then
    echo "$who: not installed:$missing; what needs them is skipped"
    case " $missing " in
        *' postgresql '*) echo "$who: THE HUB IS NOT TESTED: it needs a PostgreSQL server to be installed" ;;
    esac
fi
exit 0
