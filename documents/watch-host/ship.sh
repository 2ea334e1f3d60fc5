# Ships lines of the journal, and of auditd, into a file that the CloudWatch agent reads: numbered, in batches that carry the sum of what they say and that of the batch before.
# A batch is put aside whole before it is written, so that whoever dies in between writes the very same again.
set -u
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 027
S=/var/lib/steward/shipper
TAG=/sys/devices/virtual/dmi/id/board_asset_tag
CLOUD=/var/lib/cloud/data/instance-id
EVERY=10
BEAT=1800
# Lines of one batch, bytes of the file before it begins anew: two of them at most lie here.
MOST=500
LARGEST=16777216
LINES=$S/lines.ndjson
BOOT=$(tr -d - </proc/sys/kernel/random/boot_id)

# The board's tag on Nitro, cloud-init's word, or what SSM called the host when this was installed.
host_id() {
  for file in "$TAG" "$CLOUD" "$S/host"; do
    ID=$(head -n 1 "$file" 2>/dev/null)
    case $ID in i-* | mi-*) return 0 ;; esac
  done
  ID=unknown
}

# own WHAT WORDS: the shipper's own line, with the next batch
own() { OWN="$OWN$(printf '{"steward":{"what":"%s","at":%s,"say":"%s"}}' "$1" "$(date +%s)" "$2")
"; }

load() {
  host_id
  HOST='' CHAIN='' SEQ=0 SUM=- CURSOR=-
  [ -f "$S/state" ] && read -r HOST CHAIN SEQ SUM CURSOR <"$S/state"
  # An image of another host has its state with it.
  if [ "$HOST" != "$ID" ] || [ -z "$CHAIN" ]; then
    HOST=$ID CHAIN=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n') SEQ=0 SUM=- CURSOR=-
  fi
}

# What was put aside is written: again, if nobody knows whether it was.
finish() {
  [ -d "$S/pending" ] || return 0
  if [ -f "$S/pending/state" ]; then
    [ "$(stat -c %s "$LINES" 2>/dev/null || echo 0)" -lt "$LARGEST" ] || mv "$LINES" "$LINES.1" || return 1
    # The end of a line that was cut off is none of the next one's beginning.
    [ -z "$(tail -c 1 "$LINES" 2>/dev/null)" ] || echo >>"$LINES" || return 1
    cat "$S/pending/batch" >>"$LINES" || return 1
    chgrp cwagent "$LINES" 2>/dev/null
    if [ -f "$S/pending/audit" ]; then cp "$S/pending/audit" "$S/audit.new" && mv "$S/audit.new" "$S/audit" || return 1; fi
    mv "$S/pending/state" "$S/state" || return 1
  fi
  rm -rf "$S/pending"
}

# Lines of the journal from the last one on, that one included: if it is not the first, the journal was cut before it was read.
journal() {
  if [ "$CURSOR" = - ]; then set -- -b; else set -- "--cursor=$CURSOR"; fi
  journalctl -q --no-pager -a -o json "$@" \
    --output-fields=MESSAGE,SYSLOG_IDENTIFIER,_PID,_UID,_COMM,_EXE,_BOOT_ID,_AUDIT_SESSION,_SYSTEMD_SESSION,SESSION_ID,LEADER \
    SYSLOG_IDENTIFIER=sshd SYSLOG_IDENTIFIER=sshd-session SYSLOG_IDENTIFIER=sshd-auth SYSLOG_IDENTIFIER=sudo \
    SYSLOG_IDENTIFIER=su SYSLOG_IDENTIFIER=su-l SYSLOG_IDENTIFIER=login SYSLOG_IDENTIFIER=systemd-logind 2>/dev/null | head -n "$MOST" >"$S/next/journal"
  awk -v last="$CURSOR" -v now="$(date +%s)" -v end="$S/next/cursor" '
    function cursor(s) { if (!match(s, /[{,]"__CURSOR"[ ]*:[ ]*"[^"]*"/)) return ""; s = substr(s, RSTART, RLENGTH - 1); sub(/.*"/, "", s); return s }
    { c = cursor($0); if (c == "") next; here = c }
    !seen++ && last != "-" { if (c == last) next; print "{\"steward\":{\"what\":\"lost\",\"at\":" now ",\"say\":\"the journal was cut before it was read: lines may be missing\"}}" }
    { print "{\"journal\":" $0 "}" }
    END { print here >end }' "$S/next/journal" >>"$S/next/said"
}

search() { ausearch --input-logs -k steward --checkpoint "$S/next/audit" "$@" --raw >"$S/next/raw" 2>/dev/null </dev/null; }

# What auditd saw since the checkpoint, each event on one line, with the names of who logged in and of whom it ran as.
audit() {
  [ "$(cat "$S/watch" 2>/dev/null)" = commands ] && command -v ausearch >/dev/null 2>&1 || return 0
  [ ! -f "$S/audit" ] || cp "$S/audit" "$S/next/audit" || return 1
  last="audit($(sed -n 's/^output=[^ ]* \([^ ]*\) .*/\1/p' "$S/audit" 2>/dev/null))"
  # An event of several records counts when a later one is in the log: the very last waits for it.
  search
  case $? in
    10 | 11 | 12)
      # It was rotated, and ausearch does not find the last event where it looks. By its time it finds where to go on: at that event itself, or it is gone, and maybe others with it.
      search -ts checkpoint
      grep -qF "$last" "$S/next/raw" || own lost 'the log of auditd was cut before it was read: programs may be missing'
      ;;
  esac
  awk -v last="$last" "$AWK_TEXT"'
    function value(s, key) { if (!match(s, "(^| )" key "=[^ ]*")) return ""; s = substr(s, RSTART, RLENGTH); sub(/.*=/, "", s); return s }
    function out() { if (call != "" && was != last) print "{\"audit\":[" json(call) (ran == "" ? "" : "," json(ran)) "]" named("login", value(call, "auid")) named("as", value(call, "uid")) "}"; call = ran = "" }
    function named(key, id) { return (id in name) ? ",\"" key "\":" json(name[id]) : "" }
    FILENAME == ARGV[1] { split($0, f, ":"); name[f[3]] = f[1]; next }
    { match($0, /audit\([^)]*\)/); at = substr($0, RSTART, RLENGTH); if (at != was) { out(); was = at } sub(/\035.*/, "") }
    /^type=SYSCALL / { call = $0 }
    /^type=EXECVE / && ran == "" { ran = $0 }
    END { out() }' /etc/passwd "$S/next/raw" >>"$S/next/said"
}

# number FILE: a batch of its lines, into next/batch
number() {
  rm -rf "$S/next/parts" && mkdir "$S/next/parts" || return 1
  awk -v into="$S/next/parts" 'BEGIN { ORS = "" } { file = sprintf("%s/%06d", into, NR); print $0 >file; close(file) }' "$1" || return 1
  sum=$(cd "$S/next/parts" && sha256sum -- * | cut -c 1-64 | sha256sum | cut -c 1-64)
  count=$(wc -l <"$1")
  before=$SUM
  [ "$before" = - ] && before=
  awk -v head="{\"v\":1,\"host\":\"$HOST\",\"chain\":\"$CHAIN\",\"boot\":\"$BOOT\",\"seq\":" -v seq="$SEQ" \
    -v batch=",\"batch\":{\"count\":$((count)),\"sum\":\"$sum\",\"before\":\"$before\"}" '
    { print head (seq + NR) (NR == 1 ? batch : "") ",\"line\":" $0 "}" }' "$1" >>"$S/next/batch" || return 1
  SEQ=$((SEQ + count)) SUM=$sum
}

round() {
  finish || return 1
  load
  rm -rf "$S/next" && mkdir -p "$S/next" && : >"$S/next/said" || return 1
  journal || return 1
  audit || return 1
  now=$(date +%s)
  [ $((now - LAST)) -lt "$BEAT" ] || own beat "watches $(cat "$S/watch" 2>/dev/null)"
  # Behind it there is nothing.
  [ -z "$ENDING" ] || own stop "$ENDING"
  printf '%s' "$OWN" >>"$S/next/said" || return 1
  [ -s "$S/next/said" ] || return 0
  split -l "$MOST" -a 4 "$S/next/said" "$S/next/said." || return 1
  for part in "$S/next/said."*; do number "$part" || return 1; done
  cursor=$(cat "$S/next/cursor")
  printf '%s %s %s %s %s\n' "$HOST" "$CHAIN" "$SEQ" "$SUM" "${cursor:-$CURSOR}" >"$S/next/state" || return 1
  # From here on it is decided.
  mv "$S/next" "$S/pending" || return 1
  case $OWN in *'"beat"'* | *'"start"'*) LAST=$now ;; esac
  OWN=
  finish
}

# Renewed by the document each half hour.
is_wanted() { [ -n "$(find "$S/watch" -mtime -3 2>/dev/null)" ]; }

OWN='' STOP='' LAST=$(date +%s)
trap 'STOP="the host or somebody stopped it"' HUP INT TERM
own start "watches $(cat "$S/watch" 2>/dev/null)"
while :; do
  is_wanted || STOP='nobody renewed it for three days'
  # A signal within a round is the next one's.
  ENDING=$STOP
  round
  [ -z "$ENDING" ] || exit 0
  if [ -z "$STOP" ]; then
    sleep "$EVERY" &
    wait $!
  fi
done
