# What the three documents share. POSIX sh and the base tools of Amazon Linux 2023, Ubuntu 22.04/24.04 and Debian 12.
set -u
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 077

# A tmpfs: there is room even when every disk is full, and it is forgotten at a boot, as a running command is.
RUN=/run/steward
export TMPDIR=$RUN
WORK=

# Functions for awk: json(bytes) quotes for JSON; what is not UTF-8 becomes U+FFFD. bytes(path) undoes the kernel's octal escapes in mountinfo.
AWK_TEXT='
function ready(   i) { if (READY) return; READY = 1; for (i = 1; i < 256; i++) ORD[sprintf("%c", i)] = i }
function tail_ok(s, at, n,   i, o) { for (i = 1; i <= n; i++) { o = ORD[substr(s, at + i, 1)]; if (o < 128 || o > 191) return 0 } return 1 }
function utf8(s, at, o,   n, second) {
  n = o >= 240 && o <= 244 ? 3 : o >= 224 && o < 240 ? 2 : o >= 194 && o < 224 ? 1 : 0
  if (!n || at + n > length(s) || !tail_ok(s, at, n)) return 0
  second = ORD[substr(s, at + 1, 1)]
  if ((o == 224 && second < 160) || (o == 237 && second > 159) || (o == 240 && second < 144) || (o == 244 && second > 143)) return 0
  return n
}
function json(s,   i, c, o, n, out) {
  ready(); out = ""
  for (i = 1; i <= length(s); i++) {
    c = substr(s, i, 1); o = ORD[c]
    if (c == "\"" || c == "\\") out = out "\\" c
    else if (o < 32 || o == 127) out = out sprintf("\\u%04x", o)
    else if (o < 128) out = out c
    else if ((n = utf8(s, i, o))) { out = out substr(s, i, n + 1); i += n }
    else out = out "\\ufffd"
  }
  return "\"" out "\""
}
function bytes(s,   out, at) {
  out = ""
  while ((at = match(s, /\\[0-7][0-7][0-7]/))) {
    out = out substr(s, 1, at - 1) sprintf("%c", substr(s, at + 1, 1) * 64 + substr(s, at + 2, 1) * 8 + substr(s, at + 3, 1))
    s = substr(s, at + 4)
  }
  return out s
}'

# json TEXT: as a JSON string
json() { JSON_TEXT=$1 awk "$AWK_TEXT"' BEGIN { printf "%s", json(ENVIRON["JSON_TEXT"]) }'; }

# fail CODE MESSAGE REMEDY: the answer of a document that did not do it
fail() {
  printf '{"version":1,"error":{"code":"%s","message":%s,"remedy":%s}}\n' "$1" "$(json "$(printf %.600s "$2")")" "$(json "$3")"
  exit 1
}

# tool NAME PACKAGE: it must be there
tool() { command -v "$1" >/dev/null 2>&1 || fail tool-missing "$1 is not installed" "install $2 on the host"; }

# must WHAT COMMAND…: runs it; its last words are the message if it fails
must() {
  must_what=$1
  shift
  must_words=$("$@" 2>&1) && return 0
  must_last=$(printf '%s' "$must_words" | tail -n 3 | tr '\n' ' ')
  case $must_words in
    *'No space left'*) fail no-space "$must_what: $must_last" 'make some room by hand first: not even this has enough' ;;
    *) fail failed "$must_what: $must_last" 'look at the host: the tool itself refused' ;;
  esac
}

begin() {
  mkdir -p "$RUN" 2>/dev/null || { echo '{"version":1,"error":{"code":"no-space","message":"/run/steward cannot be made","remedy":"look why /run is full or read-only"}}'; exit 1; }
  WORK=$(mktemp -d "$RUN/work.XXXXXX") || fail no-space "there is no room in $RUN" 'look why /run is full'
  trap 'rm -rf "$WORK"' EXIT
  trap 'exit 143' HUP INT TERM
}

# once TOKEN: the same command is done once; asked again it gives the first answer. The kernel frees the lock when its holder ends, however it ends.
once() {
  case $1 in
    '' | *[!A-Za-z0-9-]*) fail invalid "the token may hold letters, digits and dashes, not: $1" 'let Steward run this document' ;;
  esac
  RECORD=$RUN/done.$1
  exec 9>"$RUN/lock"
  flock -n 9 || fail busy 'another clean-up or growth is at work on this host' 'nothing: it is tried again'
  if [ -f "$RECORD" ]; then
    sed 's/"repeated":false/"repeated":true/' "$RECORD"
    exit 0
  fi
  # Records of a week ago are of no use to anyone.
  find "$RUN" -maxdepth 1 -name 'done.*' -mtime +7 -delete 2>/dev/null
}

# answer JSON: kept for the same token, then printed
answer() {
  printf '%s\n' "$1" >"$WORK/answer" && mv "$WORK/answer" "$RECORD"
  printf '%s\n' "$1"
}

# The mounted file systems on block devices, once each (bind mounts and subvolumes by their shortest path), into $WORK/mounts:
# id, source, type, ro|rw, path; separated by tabs, octal escapes as the kernel writes them.
list_mounts() {
  awk '
    function hidden(p) { return p in seen }
    {
      for (i = 7; $i != "-"; i++);
      type = $(i + 1); source = $(i + 2); super = $(i + 3)
      if (type !~ /^(ext[234]|xfs|btrfs|vfat|f2fs|jfs)$/ || source !~ /^\//) next
      ro = ($6 ~ /(^|,)ro(,|$)/ || super ~ /(^|,)ro(,|$)/) ? "ro" : "rw"
      # What is mounted later at the same place hides what was there.
      for (id in path) if (path[id] == $5) delete path[id]
      if (($3 in path) && length(path[$3]) <= length($5)) next
      if (!($3 in order)) order[$3] = ++count
      path[$3] = $5; line[$3] = $3 "\t" source "\t" type "\t" ro "\t" $5
    }
    END { for (id in path) print order[id] "\t" line[id] }' /proc/self/mountinfo | sort -n | cut -f2- >"$WORK/mounts"
}

# unescape TEXT: the path that mountinfo means, in UNESCAPED (a newline at its end stays)
unescape() {
  UNESCAPED=$(ESCAPED=$1 awk "$AWK_TEXT"' BEGIN { printf "%sx", bytes(ENVIRON["ESCAPED"]) }')
  UNESCAPED=${UNESCAPED%x}
}

# find_mount: the file system mounted at $MOUNT; sets ID SOURCE TYPE MODE
find_mount() {
  list_mounts
  TAB=$(printf '\t')
  while IFS=$TAB read -r ID SOURCE TYPE MODE ESCAPED_PATH; do
    unescape "$ESCAPED_PATH"
    [ "$UNESCAPED" = "$MOUNT" ] && return 0
  done <"$WORK/mounts"
  fail not-found "no file system is mounted at $MOUNT" 'inspect the disk again'
}

# decode_mount: $STEWARD_MOUNT, base64, into MOUNT
decode_mount() {
  MOUNT=$(printf '%s' "$STEWARD_MOUNT" | base64 -d 2>/dev/null && printf x) || fail invalid 'the mount is not base64' 'let Steward run this document'
  MOUNT=${MOUNT%x}
  case $MOUNT in /*) ;; *) fail invalid 'the mount is not an absolute path' 'let Steward run this document' ;; esac
}

# kernel_name ID SOURCE TYPE: the block device's name in /sys/class/block. Btrfs has an id of its own, so its source decides.
kernel_name() {
  if [ "$3" = btrfs ] || [ ! -e "/sys/dev/block/$1" ]; then
    basename "$(readlink -f "$2")"
  else
    basename "$(readlink -f "/sys/dev/block/$1")"
  fi
}

# lv_words NAME FIELDS: what lvm2 says of a logical volume, separated by tabs. By the kernel's number: names can be mapped in many ways.
lv_words() {
  lvs --noheadings --nosuffix --units b --separator "$(printf '\t')" -o "$2" \
    -S "lv_kernel_major=$(cut -d: -f1 "/sys/class/block/$1/dev") && lv_kernel_minor=$(cut -d: -f2 "/sys/class/block/$1/dev")" 2>/dev/null | sed 's/^ *//'
}

sectors() { cat "/sys/class/block/$1/size"; }
size_of() { echo $(($(sectors "$1") * 512)); }
parent_of() { basename "$(dirname "$(readlink -f "/sys/class/block/$1")")"; }

# kind_of NAME: partition, lvm, disk, or what it is that is not grown
kind_of() {
  if [ -f "/sys/class/block/$1/partition" ]; then
    echo partition
  elif [ -f "/sys/class/block/$1/dm/uuid" ]; then
    case $(cat "/sys/class/block/$1/dm/uuid") in LVM-*) echo lvm ;; CRYPT-*) echo crypt ;; *) echo device-mapper ;; esac
  elif [ -d "/sys/class/block/$1/md" ]; then
    echo md
  else
    case $1 in loop*) echo loop ;; *) echo disk ;; esac
  fi
}

# Nothing starts behind it, and it is no logical partition inside an extended one.
is_last() {
  [ "$(table_of "$(parent_of "$1")")" = dos ] && [ "$(cat "/sys/class/block/$1/partition")" -gt 4 ] && return 1
  for other in "/sys/class/block/$(parent_of "$1")"/*/partition; do
    [ "$(cat "$(dirname "$other")/start")" -gt "$(cat "/sys/class/block/$1/start")" ] && return 1
  done
  return 0
}

# gpt or dos; empty where there is no table that is known
table_of() { blkid -p -s PTTYPE -o value "/dev/$1" 2>/dev/null; }

# Bytes of the file system at $1: total, used, available; inodes total, used. GNU stat.
usage_of() { stat -f -c '%S %b %f %a %c %d' -- "$1" | awk '{ printf "%.0f %.0f %.0f %.0f %.0f\n", $1 * $2, $1 * ($2 - $3), $1 * $4, $5, $5 - $6 }'; }
