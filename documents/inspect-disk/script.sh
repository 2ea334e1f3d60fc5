# How full the file systems are, what they stand on, and what fills those that are fullest. Changes nothing.
begin
TAB=$(printf '\t')
CUT=

cut_note() { CUT="$CUT${CUT:+,}$(json "$1")"; }

# layers NAME: JSON objects, separated by commas, from NAME down to its disks
layers() {
  case $(kind_of "$1") in
    partition)
      printf '{"kind":"partition","name":%s,"number":%s,"table":"%s","sizeBytes":%s,"last":%s},' "$(json "$1")" "$(cat "/sys/class/block/$1/partition")" \
        "$(table_or_other "$(parent_of "$1")")" "$(size_of "$1")" "$(is_last "$1" && echo true || echo false)"
      layers "$(parent_of "$1")"
      ;;
    lvm)
      lvm_layer "$1"
      slaves "$1"
      ;;
    disk) disk_layer "$1" ;;
    *)
      printf '{"kind":"other","name":%s,"type":"%s","sizeBytes":%s}' "$(json "$1")" "$(kind_of "$1")" "$(size_of "$1")"
      [ -n "$(ls "/sys/class/block/$1/slaves" 2>/dev/null)" ] && { printf ','; slaves "$1"; }
      ;;
  esac
}

slaves() {
  comma=
  for slave in "/sys/class/block/$1/slaves"/*; do
    printf '%s' "$comma"
    layers "$(basename "$slave")"
    comma=,
  done
}

table_or_other() { case $(table_of "$1") in gpt) echo gpt ;; *) echo dos ;; esac; }

lvm_layer() {
  # Without lvm2's tools: the names that device-mapper has, and nothing free.
  lvm_name=$(cat "/sys/class/block/$1/dm/name")
  lvm_words=$(lv_words "$1" vg_name,lv_name,vg_free,pv_count)
  [ -n "$lvm_words" ] || lvm_words="${lvm_name%%-*}$TAB${lvm_name#*-}${TAB}0$TAB$(ls "/sys/class/block/$1/slaves" | wc -l)"
  IFS=$TAB read -r group volume free count <<LVM
$lvm_words
LVM
  printf '{"kind":"lvm","volumeGroup":%s,"logicalVolume":%s,"sizeBytes":%s,"freeBytes":%s,"physicalVolumes":%s},' \
    "$(json "$group")" "$(json "$volume")" "$(size_of "$1")" "$free" "$count"
}

disk_layer() {
  serial=$(cat "/sys/class/block/$1/device/serial" 2>/dev/null | tr -d ' \n')
  model=$(cat "/sys/class/block/$1/device/model" 2>/dev/null)
  # EBS over NVMe has the volume's id without its dash as serial number.
  case $serial in vol[0-9a-f]*) volume="\"vol-${serial#vol}\"" ;; *) volume=null ;; esac
  case $model in *'Instance Storage'*) store=true ;; *) store=false ;; esac
  printf '{"kind":"disk","name":%s,"sizeBytes":%s,"volumeId":%s,"instanceStore":%s}' "$(json "$1")" "$(size_of "$1")" "$volume" "$store"
}

# Seconds that one walk over a file system may take, and after which none is begun: a pass waits 20 s for the answer.
WALK=5
LAST_WALK=6
STARTED=$(date +%s)

# walk PATH: block count, size, change time, path of each file into $WORK/files; newlines of names as byte 1, so that a line is a file
walk() {
  timeout "$WALK" nice -n 10 find "$1" -xdev -type f -printf '%b\t%s\t%C@\t%p\0' 2>/dev/null | tr '\n\0' '\001\n' >"$WORK/files"
  # Its time was over within a name: that one is left out.
  [ ! -s "$WORK/files" ] || [ "$(tail -c 1 "$WORK/files" | wc -l)" -eq 1 ] || sed -i '$d' "$WORK/files"
}

# largest PATH: the ten biggest of its directories (up to four deep) and files; a directory that is nearly all one of them is left out
largest() {
  awk -F '\t' -v root="$1" '
    BEGIN { if (root == "/") root = "" }
    {
      path = $4; bytes = $1 * 512
      for (i = 5; i <= NF; i++) path = path "\t" $i
      if (bytes >= 1048576) print bytes "\t1\tfile\t" path
      rest = substr(path, length(root) + 2); at = root
      for (depth = 1; depth <= 4 && (slash = index(rest, "/")); depth++) {
        at = at "/" substr(rest, 1, slash - 1); rest = substr(rest, slash + 1)
        sum[at] += bytes; count[at]++
      }
    }
    END { for (d in sum) printf "%.0f\t%d\tdirectory\t%s\n", sum[d], count[d], d }' "$WORK/files" | sort -rn | head -n 40 >"$WORK/big"
  awk -F '\t' "$AWK_TEXT"'
    { n++; size[n] = $1; files[n] = $2; kind[n] = $3; path[n] = $4 }
    END {
      for (i = 1; i <= n && shown < 10; i++) {
        skip = 0
        for (j = i + 1; j <= n; j++) if (kind[i] == "directory" && index(path[j], path[i] "/") == 1 && size[j] >= 0.9 * size[i]) skip = 1
        if (skip) continue
        gsub(/\001/, "\n", path[i])
        printf "%s{\"path\":%s,\"bytes\":%s,\"kind\":\"%s\",\"files\":%s}", (shown++ ? "," : ""), json(substr(path[i], 1, 300)), size[i], kind[i], files[i]
      }
    }' "$WORK/big"
}

# growing: what changed in the last two minutes is measured twice, two seconds apart
growing() {
  awk -F '\t' -v now="$(date +%s)" '$3 > now - 120 { print $2 "\t" $4 }' "$WORK/files" | sort -rn | head -n 200 | cut -f2- >"$WORK/recent"
  [ -s "$WORK/recent" ] || return 0
  sizes >"$WORK/first"
  sleep 2
  sizes | awk -F '\t' -v first="$WORK/first" '
    BEGIN { while ((getline line < first) > 0) { tab = index(line, "\t"); was[substr(line, tab + 1)] = substr(line, 1, tab - 1) } }
    { path = substr($0, index($0, "\t") + 1); if (path in was && $1 > was[path]) printf "%.1f\t%s\t%s\n", ($1 - was[path]) / 2, $1, path }' |
    sort -rn | head -n 5 |
    awk -F '\t' "$AWK_TEXT"'{ gsub(/\001/, "\n", $3); printf "%s{\"path\":%s,\"bytes\":%s,\"bytesPerSecond\":%s}", (NR > 1 ? "," : ""), json(substr($3, 1, 300)), $2, $1 }'
}
# size, path of each recent file that is still there
sizes() { tr '\n\001' '\0\n' <"$WORK/recent" | xargs -0 -r stat --printf '%s\t%n\0' -- 2>/dev/null | tr '\n\0' '\001\n'; }

# What PostgreSQL's write-ahead logs hold, wherever they are
wal_bytes() { awk -F '\t' '$4 ~ /\/(pg_wal|pg_xlog)\// { sum += $1 } END { printf "%.0f", sum * 512 }' "$WORK/files"; }

# cleanable: what clean-disk would free; estimates
cleanable() {
  [ -f "$WORK/open" ] || list_open
  comma=
  for one in $PLACES; do
    found=$(find_place "$one" -printf '%i %b %n\n' | awk -v open="$WORK/open" '
      BEGIN { while ((getline inode < open) > 0) held[inode] }
      !($1 in held) { files++; if ($3 == 1) blocks += $2 }
      END { printf "%.0f %.0f", blocks * 512, files }')
    set -- $found
    [ "$2" -gt 0 ] || continue
    printf '%s{"place":"%s","bytes":%s,"files":%s}' "$comma" "$one" "$1" "$2"
    comma=,
  done
  excess=$(journal_excess 512)
  [ "$excess" -gt 0 ] && { printf '%s{"place":"journal","bytes":%s,"files":0}' "$comma" "$excess"; comma=,; }
  for image_tool in $(image_tools); do
    bytes=$(timeout 5 "$image_tool" system df --format '{{.Type}} {{.Reclaimable}}' 2>/dev/null | awk '
      $1 == "Images" {
        n = $2 + 0
        unit = $2; gsub(/[0-9.]/, "", unit)
        printf "%.0f", n * (unit ~ /^[kK]/ ? 1e3 : unit ~ /^M/ ? 1e6 : unit ~ /^G/ ? 1e9 : unit ~ /^T/ ? 1e12 : 1)
      }')
    [ "${bytes:-0}" -gt 0 ] && { printf '%s{"place":"container-images","bytes":%s,"files":0}' "$comma" "$bytes"; comma=,; }
  done
}

list_mounts
# The fullest first: by space or by inodes.
: >"$WORK/ranked"
while IFS=$TAB read -r ID SOURCE TYPE MODE ESCAPED_PATH; do
  unescape "$ESCAPED_PATH"
  usage=$(usage_of "$UNESCAPED" 2>/dev/null) || continue
  [ -n "$usage" ] || continue
  full=$(echo "$usage" | awk '{ space = $2 + $3 > 0 ? 100 * $2 / ($2 + $3) : 0; inodes = $4 > 0 ? 100 * $5 / $4 : 0; printf "%.3f", (space > inodes ? space : inodes) }')
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$full" "$ID" "$SOURCE" "$TYPE" "$MODE" "$usage" "$ESCAPED_PATH" >>"$WORK/ranked"
done <"$WORK/mounts"
sort -rn "$WORK/ranked" >"$WORK/order"
[ "$(wc -l <"$WORK/order")" -gt 24 ] && cut_note "only the 24 fullest of $(wc -l <"$WORK/order") file systems are listed"

: >"$WORK/out"
count=0
length=0
while IFS=$TAB read -r full ID SOURCE TYPE MODE usage ESCAPED_PATH; do
  count=$((count + 1))
  [ $count -gt 24 ] && break
  unescape "$ESCAPED_PATH"
  MOUNT=$UNESCAPED
  name=$(kernel_name "$ID" "$SOURCE" "$TYPE")
  below=
  [ -e "/sys/class/block/$name" ] && below=$(layers "$name")
  uuid=
  [ "$TYPE" = btrfs ] && uuid=$(blkid -p -s UUID -o value "$SOURCE" 2>/dev/null)
  [ -n "$uuid" ] && [ "$(ls "/sys/fs/btrfs/$uuid/devices" 2>/dev/null | wc -l)" -gt 1 ] &&
    below="{\"kind\":\"other\",\"name\":\"$name\",\"type\":\"btrfs over several devices\",\"sizeBytes\":$(size_of "$name")},$below"
  biggest='' moving='' wal=0 free=''
  # What fills a disk is asked of those that are filling, the three fullest: each walk takes its time.
  if [ "$STEWARD_DETAIL" = full ] && [ $count -le 3 ] && [ "${full%%.*}" -ge 20 ] && [ $(($(date +%s) - STARTED)) -gt $LAST_WALK ]; then
    cut_note "$MOUNT was not walked: the walks before it took too long"
  elif [ "$STEWARD_DETAIL" = full ] && [ $count -le 3 ] && [ "${full%%.*}" -ge 20 ]; then
    began=$(date +%s)
    walk "$MOUNT"
    [ $(($(date +%s) - began)) -ge $WALK ] && cut_note "$MOUNT was walked for $WALK s only: its sizes are the least they can be"
    biggest=$(largest "$MOUNT")
    [ $count -eq 1 ] && moving=$(growing)
    wal=$(wal_bytes)
    free=$(cleanable)
  fi
  set -- $usage
  inodes=null
  [ "$4" -gt 0 ] && inodes="{\"total\":$4,\"used\":$5}"
  entry=$(printf '{"path":%s,"source":%s,"filesystem":"%s","readOnly":%s,"sizeBytes":%s,"usedBytes":%s,"availableBytes":%s,"inodes":%s,"layers":[%s],"cleanable":[%s],"largest":[%s],"growing":[%s],"walBytes":%s}' \
    "$(json "$MOUNT")" "$(json "$SOURCE")" "$TYPE" "$([ "$MODE" = ro ] && echo true || echo false)" "$1" "$2" "$3" "$inodes" "$below" "$free" "$biggest" "$moving" "$wal")
  length=$((length + ${#entry} + 1))
  # SSM keeps 24,000 characters of an answer.
  if [ $length -gt 21000 ]; then
    cut_note "$MOUNT and what is less full is left out: the answer would be too long"
    break
  fi
  [ $count -gt 1 ] && printf ',' >>"$WORK/out"
  printf '%s' "$entry" >>"$WORK/out"
done <"$WORK/order"

os=$(. /etc/os-release 2>/dev/null; printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}")
printf '{"version":1,"at":"%s","os":%s,"kernel":%s,"mounts":[%s],"cut":[%s]}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(json "$os")" "$(json "$(uname -r)")" "$(cat "$WORK/out")" "$CUT"
