#!/usr/bin/env bash
# A private Docker engine, and a stand-in for the base image, for machines that
# have neither an engine nor an image registry. See usage() below.
set -euo pipefail

readonly SUITE=trixie
readonly IMAGE=debian:trixie-slim
readonly LABEL=dev.mcp-sandbox.standin
readonly CA_LABEL=dev.mcp-sandbox.standin.ca
readonly CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
# procps: without a ps on its side the engine cannot answer `docker top`.
readonly PACKAGES=(docker.io docker-cli docker-buildx docker-compose iptables ca-certificates procps)
# Raise this when make_rootfs changes what it makes: machines keep the result.
readonly RECIPE=2
# Where the host's root is inside the engine's mount namespace.
readonly HOST_ROOT=/run/host
readonly DEFAULT_DIR=/var/lib/mcp-sandbox-engine

usage() {
    cat <<'USAGE'
usage: scripts/dev-engine.sh start | stop [--keep] | status

  start         start the engine, making it first where needed; prints one line
                for the shell:  eval "$(scripts/dev-engine.sh start)"
                Where a Docker engine already answers, that one is named and
                nothing is started.
  stop          end the engine and remove everything it made
  stop --keep   end the engine, keep its files for a quick next start
  status        say what runs where; exit 0 when an engine answers, else 3

Environment:
  MCP_SANDBOX_ENGINE_DIR     state folder (default: /var/lib/mcp-sandbox-engine).
                             An engine in another folder gets a network namespace
                             of its own, so that two can run side by side.
  MCP_SANDBOX_ENGINE_NET     host | own: overrides that choice
  MCP_SANDBOX_ENGINE_MIRROR  Debian mirror (default: from the host's apt sources)
  MCP_SANDBOX_ENGINE_ROOTFS  copy the engine's files from the "rootfs" folder of
                             another state folder instead of downloading them
  MCP_SANDBOX_ENGINE_SHARE   further folders, separated by ":", whose paths mean
                             the same to the engine as to the host
USAGE
}

say() { printf 'dev-engine: %s\n' "$*" >&2; }
die() {
    local code=$1
    shift
    say "$*"
    exit "$code"
}

# --- settings ---------------------------------------------------------------

settings() {
    DIR=${MCP_SANDBOX_ENGINE_DIR:-$DEFAULT_DIR}
    # The path ends up in mount tables, in an export line and behind rm -rf:
    # a small alphabet is cheaper than getting every quoting right.
    [[ $DIR =~ ^/[A-Za-z0-9._/+-]+$ ]] ||
        die 2 "MCP_SANDBOX_ENGINE_DIR must be an absolute path of letters, digits and . _ + - /, not '$DIR'."
    DIR=$(realpath -m -- "$DIR")
    CHECKOUT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
    local shared
    for shared in /tmp "$CHECKOUT"; do
        [[ $DIR/ != "$shared"/* ]] ||
            die 2 "MCP_SANDBOX_ENGINE_DIR ($DIR) must not be inside $shared, which the engine shares with the host."
    done
    [[ $CHECKOUT/ != "$DIR"/* ]] || die 2 "MCP_SANDBOX_ENGINE_DIR ($DIR) must not hold this checkout."
    case $DIR in
        / | /bin | /boot | /dev* | /etc | /home | /lib* | /proc* | /root | /run | /sbin | /sys* | /usr | /usr/* | /var | /var/lib | /opt | /srv | /mnt)
            die 2 "MCP_SANDBOX_ENGINE_DIR must be a folder of its own, not $DIR."
            ;;
    esac
    MARKER=$DIR/.mcp-sandbox-engine
    ROOTFS=$DIR/rootfs
    STATE=$DIR/engine
    SOCKET=$STATE/docker.sock
    PIDFILE=$STATE/dockerd.pid
    LOG=$STATE/dockerd.log
    BIN=$DIR/bin
    ((${#SOCKET} <= 104)) || die 2 "MCP_SANDBOX_ENGINE_DIR is too long for a socket path: $DIR"
    TAG=$(printf %s "$DIR" | sha256sum | cut -c1-8)
    local net=own
    [[ $DIR != "$DEFAULT_DIR" ]] || net=host
    NET=${MCP_SANDBOX_ENGINE_NET:-$net}
    [[ $NET == host || $NET == own ]] || die 2 "MCP_SANDBOX_ENGINE_NET must be host or own, not '$NET'."
    NETNS=mcpse-$TAG
    VETH=mse$TAG
    CGROUP=docker
    [[ $DIR == "$DEFAULT_DIR" ]] || CGROUP=mcp-sandbox-engine-$TAG
}

require_root() {
    ((EUID == 0)) || die 3 "starting or stopping the private engine needs root: run this with sudo, or point DOCKER_HOST at an engine."
}

# --- talking to an engine ---------------------------------------------------

# The engine's version, or failure. A docker CLI may be missing on the host,
# so whatever can speak to a unix socket will do.
engine_version() {
    local host=$1 cli
    if [[ $host == unix://* && ! -S ${host#unix://} ]]; then
        return 1
    fi
    for cli in "$(command -v docker || true)" "$BIN/docker"; do
        [[ -x $cli ]] || continue
        timeout 10 "$cli" -H "$host" version --format '{{.Server.Version}}' 2>/dev/null && return
    done
    [[ $host == unix://* ]] && command -v curl >/dev/null || return 1
    curl -sf --max-time 10 --unix-socket "${host#unix://}" http://engine/version 2>/dev/null |
        grep -o '"Version":"[^"]*"' | head -n1 | cut -d'"' -f4 | grep .
}

# An engine that is not this script's, when one answers: its DOCKER_HOST.
foreign_host() {
    local host=${DOCKER_HOST:-}
    # The CLI knows of contexts too: a rootless engine has its socket elsewhere.
    [[ -n $host ]] || host=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || host=
    [[ -n $host ]] || host=unix:///var/run/docker.sock
    [[ $host != "unix://$SOCKET" ]] || return 1
    engine_version "$host" >/dev/null || return 1
    printf '%s\n' "$host"
}

docker_() { "$BIN/docker" -H "unix://$SOCKET" "$@"; }

print_export() {
    local path=":$PATH:"
    path=${path//":$BIN:"/:}
    # An empty entry would mean the current folder.
    path=${path#:}
    if PATH=${path%:} docker buildx version >/dev/null 2>&1; then
        printf 'export DOCKER_HOST=unix://%s\n' "$SOCKET"
    else
        # shellcheck disable=SC2016  # the caller's shell is to expand $PATH
        printf 'export DOCKER_HOST=unix://%s PATH=%s:$PATH\n' "$SOCKET" "$BIN"
    fi
}

# --- processes --------------------------------------------------------------

# Ours is a process whose root folder is our rootfs, in the mount namespace that
# launch() made: no pid file can lie about that, not after a reboot either.
is_ours() {
    local namespace
    # Were the host's root ever bound there, every process would look like ours.
    [[ -d $ROOTFS && /proc/$1/root/. -ef $ROOTFS/. && ! $ROOTFS/. -ef /. ]] || return 1
    namespace=$(cat "$STATE/namespace" 2>/dev/null) || return 0
    [[ $(readlink "/proc/$1/ns/mnt") == "$namespace" ]]
}

engine_pid() {
    local pid
    pid=$(cat "$PIDFILE" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] && is_ours "$pid" || return 1
    printf '%s\n' "$pid"
}

# Every process of the engine: those in the chroot (dockerd, containerd, shims),
# their descendants (containers have roots of their own), and what is in the
# cgroup of a container of ours although its shim is gone.
our_pids() {
    local proc pid stat changed=1 cgroup
    local -A ours=() parents=()
    for proc in /proc/[0-9]*; do
        pid=${proc#/proc/}
        stat=
        IFS= read -rd '' stat 2>/dev/null <"$proc/stat" || [[ -n $stat ]] || continue
        # The second field is the name in parentheses and may hold anything.
        stat=${stat##*) }
        [[ ${stat%% *} != Z ]] || continue
        stat=${stat#* }
        parents[$pid]=${stat%% *}
        if is_ours "$pid"; then ours[$pid]=1; fi
    done 2>/dev/null
    while IFS=: read -r proc cgroup; do
        pid=${proc#/proc/}
        pid=${pid%/cgroup}
        if [[ -n ${parents[$pid]:-} && -d $STATE/data/containers/${cgroup##*/} ]]; then ours[$pid]=1; fi
    done < <(grep -soE "/$CGROUP/[0-9a-f]{64}" /proc/[0-9]*/cgroup | sort -u)
    while ((changed)); do
        changed=0
        for pid in "${!parents[@]}"; do
            if [[ -z ${ours[$pid]:-} && -n ${ours[${parents[$pid]}]:-} ]]; then
                ours[$pid]=1
                changed=1
            fi
        done
    done
    ((${#ours[@]} == 0)) || printf '%s\n' "${!ours[@]}"
}

# wait_gone SECONDS PID: true when it ended in time.
wait_gone() {
    timeout "$1" tail --pid="$2" -s 0.1 -f /dev/null 2>/dev/null
}

end_processes() {
    local pid pids containers
    if pid=$(engine_pid); then
        say "ending dockerd ($pid)"
        # dockerd would give each ten seconds to heed a SIGTERM that most, as the
        # first process of their namespace, never see.
        mapfile -t containers < <(timeout 10 "$BIN/docker" -H "unix://$SOCKET" ps -q 2>/dev/null)
        ((${#containers[@]} == 0)) || timeout 30 "$BIN/docker" -H "unix://$SOCKET" kill "${containers[@]}" >/dev/null 2>&1 || true
        kill -TERM "$pid" 2>/dev/null || true
        wait_gone 30 "$pid" || say "dockerd did not end in 30 s: killing it"
    fi
    for _ in 1 2 3 4 5; do
        mapfile -t pids < <(our_pids)
        ((${#pids[@]})) || break
        kill -KILL "${pids[@]}" 2>/dev/null || true
        for pid in "${pids[@]}"; do
            wait_gone 10 "$pid" || true
        done
    done
    mapfile -t pids < <(our_pids)
    ((${#pids[@]} == 0)) || die 3 "these processes of the engine will not end: ${pids[*]}"
    rm -f "$PIDFILE" "$SOCKET" "$STATE/namespace"
}

# --- making the files -------------------------------------------------------

# Runs a long command so that a signal to this script is handled at once. What
# it prints goes to OUTPUT: redirected by the caller, it would take the words of
# the signal's handler along.
CHILD=
OUTPUT=/dev/null
wait_for() {
    local code=0
    # pdeathsig: not even SIGKILL to this script leaves the command behind.
    setpriv --pdeathsig KILL "$@" >>"$OUTPUT" 2>&1 </dev/null &
    CHILD=$!
    wait "$CHILD" || code=$?
    CHILD=
    return "$code"
}

# The same for one with processes and mounts of its own (debootstrap mounts /proc
# in what it makes): they end with it. They hold the lock (fd 9) until they are
# really gone, so that the next start cannot meet them.
alone() { wait_for unshare --mount --pid --fork --kill-child=KILL --mount-proc "$@"; }

install_needs() {
    local missing=()
    command -v debootstrap >/dev/null || missing+=(debootstrap)
    command -v ip >/dev/null || missing+=(iproute2)
    [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    # In a session of its own: the Ctrl-C that ends this script must not leave
    # the host's dpkg half configured.
    DEBIAN_FRONTEND=noninteractive setsid --wait sh -ec '
        apt-get -q -o DPkg::Lock::Timeout=120 update
        apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"
    ' sh "${missing[@]}" >&2 </dev/null || die 3 "apt-get could not install ${missing[*]}."
}

# apt_entries FOLDER STRICT: prints "URI SUITE" for each of Debian's own entries
# in apt's sources there. STRICT (for a host that is not Debian itself) takes only
# those that say they are signed with Debian's key.
apt_entries() {
    local root=$1 strict=$2 file
    for file in "$root"/sources.list.d/*.sources; do
        [[ -f $file ]] || continue
        awk -v strict="$strict" '
            function flush(   i, j, u, s, nu, ns) {
                if (types ~ /(^| )deb( |$)/ && enabled !~ /^(no|false|0)$/ && components ~ /(^| )main( |$)/ &&
                    ((signed == "" && !strict) || signed ~ /debian-archive/)) {
                    nu = split(uris, u, " "); ns = split(suites, s, " ")
                    for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++) print u[i], s[j]
                }
                types = uris = suites = components = signed = enabled = key = ""
            }
            /^[ \t]*#/ { next }
            /^[ \t]*$/ { flush(); next }
            /^[^ \t]/ { key = tolower($1); sub(/:.*/, "", key); sub(/^[^:]*:[ \t]*/, "") }
            { gsub(/[ \t\r]+/, " "); sub(/^ /, ""); sub(/ $/, "")
              if (key == "types") types = types " " $0
              else if (key == "uris") uris = uris " " $0
              else if (key == "suites") suites = suites " " $0
              else if (key == "components") components = components " " $0
              else if (key == "signed-by") signed = signed " " $0
              else if (key == "enabled") enabled = tolower($0) }
            END { flush() }' "$file"
    done
    for file in "$root"/sources.list "$root"/sources.list.d/*.list; do
        [[ -f $file ]] || continue
        awk -v strict="$strict" '$1 == "deb" {
                sub(/#.*/, ""); options = ""
                if (match($0, /\[[^]]*\]/)) { options = substr($0, RSTART, RLENGTH); sub(/\[[^]]*\]/, "") }
                if (strict || options ~ /signed-by/) if (options !~ /debian-archive/) next
                for (i = 4; i <= NF; i++) if ($i == "main") { print $2, $3; break }
            }' "$file"
    done
}

# Prints "URI SUITE" for the suites we install from, mapped from the host's own.
mirrors() {
    local root=${1:-/etc/apt} release=${2:-/etc/os-release} codename strict uri suite
    if [[ -n ${MCP_SANDBOX_ENGINE_MIRROR:-} ]]; then
        printf '%s %s\n' "$MCP_SANDBOX_ENGINE_MIRROR" "$SUITE"
        return
    fi
    # shellcheck source=/dev/null
    codename=$(. "$release" && printf %s "${VERSION_CODENAME:-none}")
    # shellcheck source=/dev/null
    strict=$(. "$release" && [[ ${ID:-} == debian ]] || echo 1)
    while read -r uri suite; do
        if [[ $uri == mirror+file:* ]]; then
            uri=$(grep -m1 -oE '^https?://[^[:space:]]+' "${uri#mirror+file:}") || continue
        fi
        [[ $uri == http://* || $uri == https://* ]] || continue
        uri=${uri%/}
        case $suite in
            "$codename" | oldstable | stable | testing | unstable | sid | "$SUITE") suite=$SUITE ;;
            "$codename"-updates | stable-updates | "$SUITE"-updates) suite=$SUITE-updates ;;
            "$codename"-security | stable-security | "$SUITE"-security) suite=$SUITE-security ;;
            *) continue ;;
        esac
        printf '%s %s\n' "$uri" "$suite"
    done < <(apt_entries "$root" "$strict") | awk '!seen[$0]++'
}

write_sources() {
    local tree=$1 uri suite
    rm -f "$tree/etc/apt/sources.list"
    mkdir -p "$tree/etc/apt/sources.list.d"
    while read -r uri suite; do
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n' "$uri" "$suite"
    done < <(mirrors) >"$tree/etc/apt/sources.list.d/debian.sources"
}

copy_host_ca() {
    local tree=$1 file
    mkdir -p "$tree/etc/ssl/certs" "$tree/usr/local/share/ca-certificates"
    [[ -f $CA_BUNDLE ]] || return 0
    # Not through a symlink of the tree's own, and never into the host's file.
    cp -L --remove-destination "$CA_BUNDLE" "$tree$CA_BUNDLE"
    # update-ca-certificates writes the bundle anew when a build installs
    # ca-certificates; it keeps what it finds here.
    for file in /usr/local/share/ca-certificates/*.crt; do
        [[ ! -f $file ]] || cp -L --remove-destination "$file" "$tree/usr/local/share/ca-certificates/"
    done
}

resolv_conf() {
    # A stub resolver on loopback means nothing in a container; systemd-resolved
    # keeps the real servers beside it.
    local real=/run/systemd/resolve/resolv.conf
    if grep -q '^nameserver 127\.0\.0\.53' /etc/resolv.conf 2>/dev/null && [[ -f $real ]]; then
        cat "$real"
    else
        cat /etc/resolv.conf
    fi
}

# Removes a tree of ours, unless something is mounted in it: rm would go on
# into a bind mount and delete the host's own files.
mounts_under() {
    # "findmnt -R DIR" finds nothing when DIR itself is no mount point, whatever
    # is mounted deeper, so the whole table is asked.
    findmnt --raw --noheadings --output TARGET | awk -v dir="$1" '$0 == dir || index($0, dir "/") == 1'
}

refuse_mounts() {
    local mounts
    mounts=$(mounts_under "$1")
    [[ -z $mounts ]] || die 3 "refusing to remove $1 while something is mounted in it: ${mounts//$'\n'/, }"
}

remove_tree() {
    [[ -e $1 || -L $1 ]] || return 0
    refuse_mounts "$1"
    rm -rf --one-file-system -- "$1"
}

make_rootfs() {
    local partial=$DIR/rootfs.partial mirror base name proxies=()
    for name in http_proxy https_proxy no_proxy; do
        [[ -z ${!name:-} ]] || proxies+=("$name=${!name}")
    done
    if [[ -n ${MCP_SANDBOX_ENGINE_ROOTFS:-} ]]; then
        [[ -x $MCP_SANDBOX_ENGINE_ROOTFS/usr/sbin/dockerd ]] ||
            die 2 "MCP_SANDBOX_ENGINE_ROOTFS ($MCP_SANDBOX_ENGINE_ROOTFS) holds no engine."
        [[ $(cat "$MCP_SANDBOX_ENGINE_ROOTFS/recipe" 2>/dev/null) == "$RECIPE" ]] ||
            die 2 "MCP_SANDBOX_ENGINE_ROOTFS ($MCP_SANDBOX_ENGINE_ROOTFS) is of another recipe: start its engine again first."
        say "copying the engine's files from $MCP_SANDBOX_ENGINE_ROOTFS"
        alone cp -a --reflink=auto --one-file-system -- "$MCP_SANDBOX_ENGINE_ROOTFS" "$partial" ||
            die 3 "copying $MCP_SANDBOX_ENGINE_ROOTFS failed: $(tail -n1 "$OUTPUT")"
        mv -- "$partial" "$ROOTFS"
        return
    fi
    mirror=$(mirrors | awk -v s="$SUITE" '$2 == s { print $1; exit }')
    [[ -n $mirror ]] ||
        die 3 "the host's apt sources name no Debian mirror: set MCP_SANDBOX_ENGINE_MIRROR to one."
    say "making the base files (debootstrap $SUITE)"
    alone debootstrap --variant=minbase "$SUITE" "$partial" "$mirror" ||
        die 3 "debootstrap failed; the last lines of $OUTPUT: $(tail -n3 "$OUTPUT")"
    write_sources "$partial"
    rm -rf "$partial"/var/lib/apt/lists/* "$partial"/var/cache/apt/archives/*.deb
    # As in the image this stands in for: no documentation, no package caches.
    cat >"$partial/etc/dpkg/dpkg.cfg.d/docker" <<'CONF'
force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/info/*
CONF
    cat >"$partial/etc/apt/apt.conf.d/docker" <<'CONF'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Apt::AutoRemove::SuggestsImportant "false";
CONF
    printf '#!/bin/sh\nexit 101\n' >"$partial/usr/sbin/policy-rc.d"
    chmod 755 "$partial/usr/sbin/policy-rc.d"
    find "$partial"/usr/share/{doc,man,locale,info} -mindepth 1 ! -name copyright ! -type d -delete 2>/dev/null || true
    # Of this host, or of this moment; docker fills in the first two itself.
    rm -f "$partial"/etc/{resolv.conf,hostname} "$partial"/var/log/{bootstrap,dpkg,alternatives}.log
    base=$DIR/standin.tar.partial
    alone tar -C "$partial" --one-file-system --numeric-owner --exclude=./dev/* -cf "$base" . || die 3 "packing the stand-in failed."

    say "installing the engine (${PACKAGES[*]})"
    resolv_conf >"$partial/etc/resolv.conf"
    copy_host_ca "$partial"
    # shellcheck disable=SC2016  # expanded by the inner shell
    alone sh -ec '
        root=$1; shift
        mount -t proc proc "$root/proc"
        mount --bind /dev "$root/dev"
        exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
    ' sh "$partial" "${proxies[@]}" sh -ec 'apt-get -q update; apt-get -q install -y --no-install-recommends "$@"' sh "${PACKAGES[@]}" ||
        die 3 "installing the engine failed; the last lines of $OUTPUT: $(tail -n3 "$OUTPUT")"
    rm -rf "$partial"/var/lib/apt/lists/*
    # Inside the rootfs, so that a copy of it (MCP_SANDBOX_ENGINE_ROOTFS) is whole.
    mv -- "$base" "$partial/standin.tar"
    echo "$RECIPE" >"$partial/recipe"
    mv -- "$partial" "$ROOTFS"
}

# The CLI is made for another glibc than the host's, so it runs on its own
# loader. Not in the chroot: there, only the shared folders would be the host's.
write_wrapper() {
    local loader libs
    loader=$(find "$ROOTFS"/usr/lib/*-linux-gnu*/ -maxdepth 1 -name 'ld-linux*.so.*' | head -n1)
    libs=$(dirname -- "$loader")
    mkdir -p "$BIN"
    cat >"$BIN/docker.partial" <<WRAPPER
#!/bin/sh
# Made by scripts/dev-engine.sh: the private engine's docker CLI and its plugins.
root='$ROOTFS' loader='$loader' libs='$libs'
WRAPPER
    cat >>"$BIN/docker.partial" <<'WRAPPER'
run() {
    program=$1
    shift
    exec "$loader" --library-path "$libs" --argv0 "${program##*/}" "$program" "$@"
}
# The CLI would look for its plugins in the host's folders, so those commands go
# to the plugin here, in the way that the CLI itself calls it.
skip= command=
for word; do
    if [ -n "$skip" ]; then skip=; continue; fi
    case $word in
        -H | --host | -c | --context | --config | -l | --log-level | --tlscacert | --tlscert | --tlskey) skip=1 ;;
        -*) ;;
        *) command=$word; break ;;
    esac
done
plugin() {
    name=$1
    shift
    DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND=docker
    export DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND
    run "$root/usr/libexec/docker/cli-plugins/docker-$name" "$@"
}
case $command in
    buildx | compose) plugin "$command" "$@" ;;
    build)
        # "docker build" is "docker buildx build" to the CLI too.
        n=$# put=
        while [ "$n" -gt 0 ]; do
            if [ -z "$put" ] && [ "$1" = build ]; then set -- "$@" buildx; put=1; fi
            set -- "$@" "$1"
            shift
            n=$((n - 1))
        done
        plugin buildx "$@"
        ;;
    *) run "$root/usr/bin/docker" "$@" ;;
esac
WRAPPER
    chmod 755 "$BIN/docker.partial"
    mv -- "$BIN/docker.partial" "$BIN/docker"
}

# --- network ----------------------------------------------------------------

iptables_() { chroot "$ROOTFS" /usr/sbin/iptables -w 10 "$@"; }

# The way out may carry less than an Ethernet frame, and a bridge that carries
# more loses the difference without a word.
uplink_mtu() {
    local device
    device=$(ip -o route show default | awk '{ for (i = 1; i < NF; i++) if ($i == "dev") { print $(i + 1); exit } }')
    if [[ -n $device ]]; then cat "/sys/class/net/$device/mtu"; else echo 1500; fi
}

# An engine beside another one lives in a network namespace of its own: two
# dockerds in one namespace flush each other's iptables chains at every start.
# This is the host's side of it; sets SUBNET. The rest is in enter_engine, since
# a namespace that only its processes hold cannot be left behind.
make_network() {
    local n i taken
    taken=$(ip -o -4 addr show && ip -o -4 route show)
    n=$((16#${TAG:0:4} % 250))
    for i in {0..249}; do
        # The range set apart for benchmarks between networks: nobody routes it.
        SUBNET=198.18.$(((n + i) % 250))
        [[ $taken == *" $SUBNET."* ]] || break
    done
    note_forwarding
    echo 1 >/proc/sys/net/ipv4/ip_forward
    iptables_ -t nat -A POSTROUTING -s "$SUBNET.0/30" ! -o "$VETH" -m comment --comment "$NETNS" -j MASQUERADE
    # Another engine's dockerd makes DROP the policy of FORWARD.
    iptables_ -I FORWARD -i "$VETH" -m comment --comment "$NETNS" -j ACCEPT
    iptables_ -I FORWARD -o "$VETH" -m comment --comment "$NETNS" -j ACCEPT
}

note_forwarding() {
    [[ -e $DIR/ip_forward ]] || cat /proc/sys/net/ipv4/ip_forward >"$DIR/ip_forward"
}

# drop_rules TABLE PATTERN: deletes the rules that match, whatever their chain.
drop_rules() {
    local rule words
    while read -r rule; do
        # iptables quotes as a shell does, and only comments can need it.
        mapfile -t words < <(xargs -n1 printf '%s\n' <<<"$rule")
        iptables_ -t "$1" -D "${words[@]:1}" || true
    done < <(iptables_ -t "$1" -S 2>/dev/null | grep -E -- "^-A .*$2" || true)
}

remove_network() {
    [[ -x $ROOTFS/usr/sbin/dockerd ]] || return 0
    drop_rules nat "--comment \"?$NETNS\"?( |\$)"
    drop_rules filter "--comment \"?$NETNS\"?( |\$)"
    if ip link show "$VETH" >/dev/null 2>&1; then ip link del "$VETH"; fi
}

# Names of the bridges that this engine made, from its own records: they are
# there after a crash too.
our_bridges() {
    local kv=$STATE/data/network/files/local-kv.db
    [[ -f $kv ]] || return 0
    # A bridge that was there before, and that a user named to docker, has another
    # creator; docker0 too, when an earlier dockerd left it (see made-docker0).
    {
        [[ ! -e $DIR/made-docker0 ]] || echo docker0
        grep -aoE '"BridgeIfaceCreator":1,"BridgeName":"[A-Za-z0-9._-]+"' "$kv" | cut -d'"' -f6 | grep -vx docker0
    } | sort -u
}

# What dockerd leaves in the host's network when it ends.
remove_host_network() {
    local bridge chain address
    [[ -x $ROOTFS/usr/sbin/dockerd ]] || return 0
    while read -r bridge; do
        drop_rules nat " -[io] $bridge( |\$)"
        drop_rules filter " -[io] $bridge( |\$)"
        # The rule by which a container reaches its own published port names its
        # address only.
        while read -r address; do
            [[ $(ip -o route get "${address%/32}" 2>/dev/null) != *" dev $bridge "* ]] ||
                drop_rules nat "POSTROUTING -s ${address//./\\.} -d ${address//./\\.} .*-j MASQUERADE"
        done < <(iptables_ -t nat -S POSTROUTING | awk '$3 == "-s" && $5 == "-d" && $4 == $6 { print $4 }' | sort -u)
        if ip link show "$bridge" type bridge >/dev/null 2>&1; then ip link del "$bridge"; fi
    done < <(our_bridges)
    [[ -e $DIR/made-docker0 ]] || return 0
    # There was no other engine's network here before ours, so the chains are ours.
    drop_rules nat " -j DOCKER( |\$)"
    drop_rules filter " -j DOCKER(-USER|-ISOLATION-STAGE-[12])?( |\$)"
    for chain in nat:DOCKER filter:DOCKER filter:DOCKER-ISOLATION-STAGE-1 filter:DOCKER-ISOLATION-STAGE-2 filter:DOCKER-USER; do
        iptables_ -t "${chain%%:*}" -F "${chain#*:}" 2>/dev/null || true
        iptables_ -t "${chain%%:*}" -X "${chain#*:}" 2>/dev/null || true
    done
    if [[ -s $DIR/made-docker0 ]]; then iptables_ -P FORWARD "$(cat "$DIR/made-docker0")" || true; fi
    rm -f "$DIR/made-docker0"
}

restore_forwarding() {
    [[ -e $DIR/ip_forward ]] || return 0
    # Not under the feet of another engine that came after.
    if [[ $(cat "$DIR/ip_forward") == 0 ]] && ! ip -o link show | grep -qE '^[0-9]+: (docker0|br-[0-9a-f]{12}|mse[0-9a-f]{8})[@:]'; then
        echo 0 >/proc/sys/net/ipv4/ip_forward
    fi
    rm -f "$DIR/ip_forward"
}

note_host_network() {
    [[ ! -e $DIR/made-docker0 ]] || return 0
    ! ip link show docker0 >/dev/null 2>&1 || return 0
    # Holds the policy of FORWARD from before dockerd sets it to DROP.
    iptables_ -S FORWARD 2>/dev/null | awk '$1 == "-P" { print $3 }' >"$DIR/made-docker0.partial" || true
    mv -- "$DIR/made-docker0.partial" "$DIR/made-docker0"
    note_forwarding
}

# --- running it -------------------------------------------------------------

shared_folders() {
    local folder extra
    printf '%s\n' /tmp
    IFS=: read -ra extra <<<"${MCP_SANDBOX_ENGINE_SHARE:-}"
    for folder in "$CHECKOUT" "${extra[@]}"; do
        [[ -n $folder && $folder/ != /tmp/* ]] || continue
        [[ $folder == /* && -d $folder ]] || die 2 "cannot share '$folder' with the engine: no such folder."
        # One of these would hide the engine's own files, or hold itself.
        case $folder in
            / | /bin | /bin/* | /dev | /dev/* | /etc | /etc/* | /lib* | /proc | /proc/* | /run | /sbin | /sbin/* | /sys | /sys/* | /usr | /usr/bin | /usr/lib | /usr/sbin | /var | /var/lib)
                die 2 "cannot share '$folder' with the engine: it has its own."
                ;;
        esac
        printf '%s\n' "$folder"
    done
}

# The three functions below run in the engine's own mount namespace: the host
# never sees these mounts, and they end with the last process in it, whatever
# ends it.
# Runs in the engine's mount namespace, where the host's root is at HOST_ROOT.
mount_shares() {
    local host=$1 folder
    shift
    for folder; do
        mkdir -p "$folder"
        [[ ! $folder -ef $host$folder ]] || continue
        # The folder of that name is another one by now, as after a new clone.
        if mountpoint -q "$folder"; then umount --recursive --lazy "$folder"; fi
        mount --rbind "$host$folder" "$folder"
    done
}

join_network() {
    local launcher=$1 veth=$2 subnet=$3 mtu=$4
    ip link add eth0 mtu "$mtu" type veth peer name "$veth" mtu "$mtu" netns "$launcher"
    nsenter --target "$launcher" --net ip addr add "$subnet.1/30" dev "$veth"
    nsenter --target "$launcher" --net ip link set "$veth" up
    ip addr add "$subnet.2/30" dev eth0
    ip link set lo up
    ip link set eth0 up
    ip route add default via "$subnet.1"
}

# The engine's files become the root of its mount namespace. A chroot would not
# do: `docker exec` joins a container's namespace at its root, which would still
# be the host's. The host's root stays where later shares can be bound from.
enter_engine() {
    local root=$1 state=$2 host=$3 shares=$4 folder
    shift 4
    readlink /proc/self/ns/mnt >"$state/namespace"
    echo "$BASHPID" >"$state/dockerd.pid"
    mount --bind "$root" "$root"
    # Volatile, so that no crash can leave a stale pid file or socket in it.
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mkdir "$root$host"
    cd "$root"
    pivot_root . ".$host"
    cd /
    for folder in proc sys dev; do mount --rbind "$host/$folder" "/$folder"; done
    mkdir -p "$state"
    mount --bind "$host$state" "$state"
    mount_shares "$host" "${@:1:shares}"
    # As the root of a machine is: docker refuses some volumes otherwise. Nothing
    # travels to the host, since the namespace began as a slave of its.
    mount --make-rshared /
    shift "$shares"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}
launch() {
    local shares pid deadline mtu name proxies=() unshare=(unshare --mount --propagation slave) first=:
    mapfile -t shares < <(shared_folders)
    mtu=$(uplink_mtu)
    mkdir -p "$STATE/data"
    resolv_conf >"$ROOTFS/etc/resolv.conf"
    copy_host_ca "$ROOTFS"
    for name in HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [[ -z ${!name:-} ]] || proxies+=("$name=${!name}")
    done
    remove_network
    if [[ $NET == own ]]; then
        make_network
        unshare+=(--net)
        first="join_network $$ $VETH $SUBNET $mtu"
    else
        note_host_network
    fi
    say "starting dockerd"
    # The log of one that died is what tells why.
    [[ ! -f $LOG ]] || mv -f -- "$LOG" "$LOG.1"
    STARTED=1
    # Nothing of the caller's stays open in it: not the lock, not the pipe that
    # the caller reads the export line from. The group is the host's root, as the
    # chroot's "docker" is any group's number out here.
    setsid "${unshare[@]}" \
        bash -euc "$(declare -f mount_shares join_network enter_engine); $first; enter_engine \"\$@\"" dev-engine \
        "$ROOTFS" "$STATE" "$HOST_ROOT" "${#shares[@]}" "${shares[@]}" "${proxies[@]}" \
        /usr/sbin/dockerd --host "unix://$SOCKET" --group root --data-root "$STATE/data" \
        --cgroup-parent "/$CGROUP" --mtu "$mtu" --shutdown-timeout 5 \
        >"$LOG" 2>&1 </dev/null 9>&- &
    pid=$!
    disown "$pid"
    deadline=$((SECONDS + 60))
    until engine_version "unix://$SOCKET" >/dev/null; do
        ! wait_gone 0.1 "$pid" || die 3 "dockerd ended at once; the last lines of $LOG: $(tail -n3 "$LOG")"
        ((SECONDS < deadline)) || die 3 "dockerd does not answer on $SOCKET after 60 s; see $LOG"
    done
    STARTED=
}

ca_digest() {
    {
        cat "$CA_BUNDLE" 2>/dev/null || true
        cat /usr/local/share/ca-certificates/*.crt 2>/dev/null || true
    } | sha256sum | cut -c1-16
}

import_standin() {
    local digest have tar=$ROOTFS/standin.tar work
    digest=$(ca_digest)
    have=$(docker_ image inspect --format "{{index .Config.Labels \"$LABEL\"}} {{index .Config.Labels \"$CA_LABEL\"}}" "$IMAGE" 2>/dev/null || true)
    # The real image, should someone have loaded it, is left alone.
    if [[ $have == "1 $digest" || (-n $have && $have != "1 "*) ]]; then return 0; fi
    say "importing the stand-in for $IMAGE"
    work=$DIR/import.partial
    remove_tree "$work"
    mkdir -p "$work/ca"
    copy_host_ca "$work/ca"
    cp --reflink=auto "$tar" "$work/image.tar"
    # Files only: docker takes no tar that names a folder twice.
    (cd "$work/ca" && find . -type f -exec tar --numeric-owner -rf "$work/image.tar" {} +)
    docker_ import --change "LABEL $LABEL=1" --change "LABEL $CA_LABEL=$digest" \
        --change 'CMD ["bash"]' \
        --change "ENV SSL_CERT_FILE=$CA_BUNDLE PIP_CERT=$CA_BUNDLE REQUESTS_CA_BUNDLE=$CA_BUNDLE CURL_CA_BUNDLE=$CA_BUNDLE NODE_EXTRA_CA_CERTS=$CA_BUNDLE GIT_SSL_CAINFO=$CA_BUNDLE CARGO_HTTP_CAINFO=$CA_BUNDLE" \
        "$work/image.tar" "$IMAGE" >/dev/null
    remove_tree "$work"
}

# --- the three commands -----------------------------------------------------

take_lock() {
    local lock=$DIR/lock
    while :; do
        mkdir -p "$DIR"
        chmod 700 "$DIR"
        exec 9>>"$lock"
        if ! flock -n 9; then
            say "waiting for another dev-engine.sh on $DIR"
            wait_for flock -w 900 9 || die 3 "another dev-engine.sh has held $lock for 15 minutes."
        fi
        # The holder before us may have been "stop", which removes the file.
        [[ -e $lock && /proc/self/fd/9 -ef $lock ]] && return
    done
}

claim_dir() {
    [[ -d $DIR && ! -e $MARKER ]] || return 0
    [[ -n $(find "$DIR" -mindepth 1 -maxdepth 1 ! -name lock -print -quit) ]] || return 0
    # Asked again, since another start may have made both in between.
    [[ -e $MARKER || ! -d $DIR ]] ||
        die 2 "$DIR has files that are not this script's: name another folder in MCP_SANDBOX_ENGINE_DIR."
}

STARTED=
interrupted() {
    trap - INT TERM HUP
    say "interrupted"
    [[ -z $CHILD ]] || kill -KILL "$CHILD" 2>/dev/null || true
    [[ -z $STARTED ]] || end_processes
    exit "$1"
}

clear_partial() {
    remove_tree "$ROOTFS.partial"
    remove_tree "$STATE.partial"
    remove_tree "$DIR/import.partial"
    rm -f "$DIR/standin.tar.partial"
}

# Under another name first, for half a tree must never pass for a whole one.
discard() {
    local tree
    for tree; do
        refuse_mounts "$tree"
    done
    for tree; do
        if [[ -e $tree ]]; then mv -- "$tree" "$tree.partial"; fi
    done
    clear_partial
}

start() {
    local host shares pid
    if host=$(foreign_host); then
        say "an engine already answers at $host: nothing started"
        printf 'export DOCKER_HOST=%q\n' "$host"
        return
    fi
    require_root
    command -v apt-get >/dev/null || die 3 "the private engine can be made on a Debian-family host only, and this one has no apt-get."
    claim_dir
    take_lock
    : >"$MARKER"
    OUTPUT=$DIR/make.log
    : >"$OUTPUT"
    install_needs
    clear_partial
    if pid=$(engine_pid) && engine_version "unix://$SOCKET" >/dev/null; then
        # Another checkout may have started it.
        mapfile -t shares < <(shared_folders)
        nsenter --target "$pid" --mount bash -euc "$(declare -f mount_shares); mount_shares \"\$@\"" dev-engine "$HOST_ROOT" "${shares[@]}"
    else
        end_processes
        if [[ -d $ROOTFS && $(cat "$ROOTFS/recipe" 2>/dev/null) != "$RECIPE" ]]; then
            say "the engine's files are of an older recipe: making them anew"
            discard "$ROOTFS"
        fi
        if [[ ! -d $ROOTFS ]]; then make_rootfs; fi
        write_wrapper
        launch
    fi
    import_standin
    print_export
}

remove_cgroups() {
    local folder
    for folder in /sys/fs/cgroup/*/"$CGROUP" /sys/fs/cgroup/"$CGROUP"; do
        # rmdir takes a cgroup that no process is in, and only such.
        if [[ -d $folder ]]; then find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
    done
}

stop() {
    local keep=$1
    if [[ ! -d $DIR ]]; then
        say "nothing to stop: there is no $DIR"
        return
    fi
    require_root
    claim_dir
    take_lock
    end_processes
    remove_network
    remove_host_network
    restore_forwarding
    remove_cgroups
    clear_partial
    if [[ $keep == keep ]]; then
        say "stopped; the files in $DIR are kept"
        return
    fi
    refuse_mounts "$DIR"
    discard "$ROOTFS" "$STATE"
    # The mark goes last, or what is left of an interrupted removal would be
    # refused as somebody else's.
    find "$DIR" -mindepth 1 -maxdepth 1 ! -name "${MARKER##*/}" ! -name lock -exec rm -rf --one-file-system -- {} +
    remove_tree "$DIR"
    say "stopped, and $DIR is removed"
}

status() {
    local host version standin=no cli
    if version=$(engine_version "unix://$SOCKET"); then
        host=unix://$SOCKET
        printf 'private engine at %s\n' "$host"
    elif host=$(foreign_host); then
        version=$(engine_version "$host")
        printf 'engine at %s (not started by this script)\n' "$host"
    else
        printf 'no engine answers\n'
        return 3
    fi
    for cli in "$BIN/docker" "$(command -v docker || true)"; do
        [[ -x $cli ]] || continue
        if [[ $("$cli" -H "$host" image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$IMAGE" 2>/dev/null) == 1 ]]; then standin=yes; fi
        break
    done
    printf 'version: %s\nstand-in for %s: %s\n' "$version" "$IMAGE" "$standin"
}

main() {
    case "$*" in
        start | stop | 'stop --keep' | status) ;;
        -h | --help)
            usage
            return
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    settings
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM HUP
    case "$*" in
        start) start ;;
        stop) stop remove ;;
        'stop --keep') stop keep ;;
        status) status ;;
    esac
}

# Sourced by its tests, it does nothing.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then main "$@"; fi
