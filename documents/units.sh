# Who of a host's units and containers may never be restarted, and where their cgroups are. For inspect-load and restart-unit.

# protected_reason NAME: why it is never restarted, or nothing. The list of shared/core/units.ts, in words.
protected_reason() {
  case ${1%.service} in
    ssh | sshd | ssh@* | sshd@*) echo 'people get in by it' ;;
    amazon-ssm-agent | snap.amazon-ssm-agent.*) echo 'Steward gets in by it' ;;
    systemd* | init | dbus* | user@* | polkit* | getty@* | serial-getty@*) echo 'the system stands on it' ;;
    NetworkManager | networkd-dispatcher | dhclient | chronyd | chrony | ntpd | ntp | wpa_supplicant) echo 'the network or the clock stands on it' ;;
    amazon-cloudwatch-agent | auditd | rsyslog | syslog-ng) echo 'it watches or records' ;;
    docker | containerd | crio | podman | kubelet | ecs | ecs-agent | amazon-ecs*) echo 'containers stand on it' ;;
    cloud-* | lvm2* | multipathd | iscsid) echo 'disks or the boot stand on it' ;;
    postgres* | mysql* | mariadb* | mongo* | redis* | valkey* | memcached* | elasticsearch* | opensearch* | cassandra* | clickhouse* | etcd* | rabbitmq* | kafka* | zookeeper* | influxd* | neo4j* | oracle* | db2*) echo 'it is a database or a queue' ;;
    vault | consul | steward*) echo 'others stand on it' ;;
  esac
}

CGROUPS=/sys/fs/cgroup

# field FILE NAME: the number of a "name number" line, or 0
field() { awk -v name="$2" '$1 == name { print $2; found = 1; exit } END { if (!found) print 0 }' "$1" 2>/dev/null || echo 0; }
number() { [ -r "$1" ] && awk '{ print ($1 == "max") ? "null" : $1; exit }' "$1" || echo "$2"; }

# main_pid CGROUP: its oldest process
main_pid() { sort -n "$1/cgroup.procs" 2>/dev/null | head -n 1; }

# started_at PID: clock ticks since the boot
started_at() { awk '{ sub(/^.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null; }

# container_name ID: as Docker calls it, else the first of its id
container_name() {
  container_said=
  command -v docker >/dev/null 2>&1 && container_said=$(timeout 3 docker inspect -f '{{.Name}}' "$1" 2>/dev/null)
  container_said=${container_said#/}
  echo "${container_said:-$(printf %.12s "$1")}"
}

# list_units: kind, cgroup and name of each, separated by tabs. cgroup v2 only: units of the system slice, and containers of Docker under either driver.
list_units() {
  for cgroup in "$CGROUPS"/system.slice/*.service "$CGROUPS"/system.slice/*/*.service; do
    [ -s "$cgroup/cgroup.procs" ] && printf 'unit\t%s\t%s\n' "$cgroup" "$(basename "$cgroup")"
  done
  for cgroup in "$CGROUPS"/system.slice/docker-*.scope "$CGROUPS"/docker/* "$CGROUPS"/ecs/*/*; do
    [ -s "$cgroup/cgroup.procs" ] || continue
    id=$(basename "$cgroup" .scope)
    printf 'container\t%s\t%s\n' "$cgroup" "$(container_name "${id#docker-}")"
  done
}
