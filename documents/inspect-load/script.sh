# What holds memory and CPU: the host, its units and containers, and what earlier looks saw of them. Changes nothing but its own samples in /run.
begin
TAB=$(printf '\t')
SAMPLES=$RUN/load
mkdir -p "$SAMPLES" || fail no-space "there is no room in $RUN" 'look why /run is full'
[ -r "$CGROUPS/cgroup.controllers" ] || fail unsupported 'this host has no cgroup v2, so what its units hold cannot be told apart' 'boot it with systemd.unified_cgroup_hierarchy=1'

meminfo() { awk -v name="$1:" '$1 == name { printf "%.0f", $2 * 1024; found = 1 } END { if (!found) printf 0 }' /proc/meminfo; }

# pressure FILE: part of the last minute in which something, or everything, waited
pressure() {
  [ -r "$1" ] || { printf null; return; }
  awk '
    { for (i = 2; i <= NF; i++) if ($i ~ /^avg60=/) value[$1] = substr($i, 7) }
    END { printf "{\"some60\":%.2f,\"full60\":%.2f}", value["some"], value["full"] }' "$1" 2>/dev/null || printf null
}

cpu_times() { awk '$1 == "cpu" { idle = $5; iowait = $6; steal = $9; total = 0; for (i = 2; i <= 9; i++) total += $i; print total, idle, iowait, steal; exit }' /proc/stat; }
# unit_cpu CGROUP: microseconds used, scheduling periods under its own limit, and those in which it was held back
unit_cpu() {
  awk '{ v[$1] = $2 } END { printf "%.0f %.0f %.0f", v["usage_usec"], v["nr_periods"], v["nr_throttled"] }' "$1/cpu.stat" 2>/dev/null || printf '0 0 0'
}
# cpu_limit CGROUP: cores, or null
cpu_limit() { awk '{ if ($1 == "max" || $2 <= 0) printf "null"; else printf "%.2f", $1 / $2; found = 1; exit } END { if (!found) printf "null" }' "$1/cpu.max" 2>/dev/null || printf null; }

list_units >"$WORK/units"
while IFS=$TAB read -r kind cgroup name; do
  printf '%s\t%s\t%s\t%s\n' "$kind" "$cgroup" "$name" "$(unit_cpu "$cgroup")"
done <"$WORK/units" >"$WORK/first"
first=$(cpu_times)
begun=$(awk '{ print $1 }' /proc/uptime)
sleep 2
last=$(cpu_times)
CORES=$(grep -c '^processor' /proc/cpuinfo)
UPTIME=$(awk '{ print $1 }' /proc/uptime)
NOW=$(date +%s)
TICKS=$(getconf CLK_TCK 2>/dev/null || echo 100)

# What earlier looks saw of the host itself.
HOST=$SAMPLES/host
steal_history() {
  [ -f "$HOST" ] || return 0
  tail -n 20 "$HOST" | awk -v now="$NOW" '{ printf "%s{\"secondsAgo\":%d,\"stealPercent\":%s}", (n++ ? "," : ""), (now - $1 < 0 ? 0 : now - $1), $2 }'
}
STEAL=$(printf '%s\n%s\n' "$first" "$last" | awk 'NR == 1 { t = $1; s = $4 } NR == 2 { all = $1 - t; if (all < 1) all = 1; printf "%.1f", 100 * ($4 - s) / all }')

CPU=$(printf '%s\n%s\n' "$first" "$last" | awk -v cores="$CORES" -v load="$(cut -d' ' -f1 /proc/loadavg)" -v pressure="$(pressure /proc/pressure/cpu)" -v steal="$STEAL" -v history="$(steal_history)" '
  NR == 1 { t = $1; i = $2; w = $3 }
  NR == 2 {
    all = $1 - t; if (all < 1) all = 1
    printf "{\"cores\":%d,\"usedPercent\":%.1f,\"stealPercent\":%s,\"waitPercent\":%.1f,\"load1\":%s,\"pressure\":%s,\"history\":[%s]}", cores, 100 * (all - ($2 - i) - ($3 - w)) / all, steal, 100 * ($3 - w) / all, load, pressure, history
  }')

# Of each: memory with what is swapped out, CPU, swap, limit, age, kills, the key by which its samples are kept (another main process is another unit), its own limit on CPU, pressure
while IFS=$TAB read -r kind cgroup name before; do
  pid=$(main_pid "$cgroup")
  [ -n "$pid" ] || continue
  start=$(started_at "$pid")
  [ -n "$start" ] || continue
  anon=$(field "$cgroup/memory.stat" anon)
  kernel=$(field "$cgroup/memory.stat" kernel)
  [ "$kernel" = 0 ] && kernel=$(($(field "$cgroup/memory.stat" slab_unreclaimable) + $(field "$cgroup/memory.stat" kernel_stack)))
  [ "$anon" = 0 ] && [ ! -r "$cgroup/memory.stat" ] && continue
  set -- $before $(unit_cpu "$cgroup")
  swap=$(number "$cgroup/memory.swap.current" 0)
  key=$(printf '%s' "$kind $name" | cksum | tr ' ' -)-$start
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$((anon + kernel + swap))" \
    "$(awk -v a="${1:-0}" -v b="${4:-0}" -v from="$begun" -v to="$UPTIME" -v cores="$CORES" 'BEGIN { s = to - from; if (s < 0.1) s = 2; p = (b - a) / 1e4 / s / cores; printf "%.1f", p < 0 ? 0 : p }')" \
    "$kind" "$name" "$swap" "$(number "$cgroup/memory.max" null)" \
    "$(awk -v up="$UPTIME" -v start="$start" -v hz="$TICKS" 'BEGIN { a = up - start / hz; printf "%.0f", a < 0 ? 0 : a }')" \
    "$(field "$cgroup/memory.events" oom_kill)" "$key" "$(cpu_limit "$cgroup")" \
    "$(awk -v all="$((${5:-0} - ${2:-0}))" -v held="$((${6:-0} - ${3:-0}))" 'BEGIN { printf "%.1f", (all > 0 && held > 0) ? 100 * held / all : 0 }')" \
    "$(pressure "$cgroup/memory.pressure")"
done <"$WORK/first" >"$WORK/measured"

# The 15 biggest, and the 5 busiest.
{ sort -t "$TAB" -k1,1nr "$WORK/measured" | head -n 15; sort -t "$TAB" -k2,2nr "$WORK/measured" | head -n 5; } | sort -u | sort -t "$TAB" -k1,1nr >"$WORK/listed"

unit_json() {
  printf '{"name":%s,"kind":"%s","memoryBytes":%s,"swapBytes":%s,"limitBytes":%s,"cpuPercent":%s,"ageSeconds":%s,"oomKills":%s,"cpuLimitCores":%s,"throttledPercent":%s,"pressure":%s,"protected":' \
    "$(json "$name")" "$kind" "$((held - swap))" "$swap" "$limit" "$cpu" "$age" "$kills" "$cores" "$throttled" "$stall"
  reason=$(protected_reason "$name")
  if [ -n "$reason" ]; then json "$reason"; else printf null; fi
  printf ',"history":['
  # Evenly thinned, so that the answer stays short: the trend is what counts.
  [ -f "$SAMPLES/$key" ] && awk -v now="$NOW" -v most="$HISTORY" '
    { line[NR] = $0 }
    END {
      step = NR > most ? NR / most : 1
      for (i = 1; i <= NR; i += step) { split(line[int(i)], f); printf "%s{\"secondsAgo\":%d,\"memoryBytes\":%s,\"cpuPercent\":%s}", (n++ ? "," : ""), (now - f[1] < 0 ? 0 : now - f[1]), f[2], f[3] }
    }' "$SAMPLES/$key"
  printf ']}'
}

# The kernel's own words: "Out of memory: Killed process 123 (name)" and, with cgroups, "oom-kill:…,task_memcg=/system.slice/x.service,…"
kernel_log() {
  if command -v journalctl >/dev/null 2>&1; then
    timeout 5 journalctl -k --no-pager -o short-unix --since '24 hours ago' 2>/dev/null
  else
    timeout 5 dmesg 2>/dev/null | awk -v boot="$(awk -v now="$NOW" '{ printf "%.0f", now - $1 }' /proc/uptime)" 'match($0, /^\[ *[0-9.]+\]/) { t = substr($0, 2, RLENGTH - 2); print boot + t, "kernel:", substr($0, RLENGTH + 1) }'
  fi
}
kernel_log | grep -E 'oom-kill:|Killed process' | tail -n 40 | awk -v now="$NOW" "$AWK_TEXT"'
  /oom-kill:/ { unit = ""; if (match($0, /task_memcg=[^,]*/)) { unit = substr($0, RSTART + 11, RLENGTH - 11); sub(/^.*\//, "", unit); if (unit !~ /\.service$/) unit = "" } next }
  /Killed process/ {
    ago = now - int($1); if (ago < 0) ago = 0
    if (ago > 86400) next
    process = "unknown"; if (match($0, /\([^)]*\)/)) process = substr($0, RSTART + 1, RLENGTH - 2)
    out[++n] = "{\"secondsAgo\":" ago ",\"process\":" json(process) ",\"unit\":" (unit == "" ? "null" : json(unit)) "}"; unit = ""
  }
  END { for (i = n; i > 0 && i > n - 10; i--) printf "%s%s", (i < n ? "," : ""), out[i] }' >"$WORK/kills"

units_json() {
  comma=
  while IFS=$TAB read -r held cpu kind name swap limit age kills key cores throttled stall; do
    printf '%s' "$comma"
    unit_json
    comma=,
  done <"$WORK/listed"
}
CUT=
HISTORY=60
units_json >"$WORK/json"
# SSM keeps 24,000 characters of an answer.
while [ "$(wc -c <"$WORK/json")" -gt 20000 ] && [ "$HISTORY" -gt 8 ]; do
  HISTORY=$((HISTORY / 2))
  CUT=$(json "history thinned to $HISTORY samples a unit")
  units_json >"$WORK/json"
done

printf '{"version":1,"at":"%s","os":%s,"kernel":%s,"uptimeSeconds":%.0f,"memory":{"totalBytes":%s,"availableBytes":%s,"swapTotalBytes":%s,"swapUsedBytes":%s,"pressure":%s},"cpu":%s,"oomKills":[%s],"units":[%s],"cut":[%s]}\n' \
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(json "$(. /etc/os-release 2>/dev/null; echo "${ID:-linux} ${VERSION_ID:-}" | sed 's/ $//')")" "$(json "$(uname -r)")" "$UPTIME" \
  "$(meminfo MemTotal)" "$(meminfo MemAvailable)" "$(meminfo SwapTotal)" "$(($(meminfo SwapTotal) - $(meminfo SwapFree)))" "$(pressure /proc/pressure/memory)" \
  "$CPU" "$(cat "$WORK/kills")" "$(cat "$WORK/json")" "$CUT"

# What this look saw, for the next ones. Samples of what is gone go with it.
while IFS=$TAB read -r held cpu kind name swap limit age kills key cores throttled stall; do
  printf '%s %s %s\n' "$NOW" "$held" "$cpu" >>"$SAMPLES/$key"
  [ "$(wc -l <"$SAMPLES/$key")" -gt 60 ] && tail -n 60 "$SAMPLES/$key" >"$WORK/tail" && cat "$WORK/tail" >"$SAMPLES/$key"
done <"$WORK/listed"
printf '%s %s\n' "$NOW" "$STEAL" >>"$HOST"
[ "$(wc -l <"$HOST")" -gt 20 ] && tail -n 20 "$HOST" >"$WORK/tail" && cat "$WORK/tail" >"$HOST"
find "$SAMPLES" -type f -mmin +720 -delete 2>/dev/null
exit 0
