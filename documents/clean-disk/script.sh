# Removes what is on the allow-list from one file system, and says what each place gave.
begin
decode_mount
once "$STEWARD_TOKEN"
find_mount
[ "$MODE" = ro ] && fail read-only "$MOUNT is mounted read-only" 'look for I/O errors in the kernel log, then remount or repair it'
FREED=
SKIPPED=

freed() { [ "$2" -gt 0 ] && FREED="$FREED${FREED:+,}{\"place\":\"$1\",\"bytes\":$2,\"files\":$3}"; }
skipped() { SKIPPED="$SKIPPED${SKIPPED:+,}{\"place\":\"$1\",\"because\":$(json "$2")}"; }
available() { usage_of "$MOUNT" | cut -d' ' -f3; }

clean_files() {
  find_place "$1" -printf '%i\n' | sort -u >"$WORK/found"
  [ -s "$WORK/found" ] || return 0
  list_open
  comm -12 "$WORK/found" "$WORK/open" >"$WORK/kept"
  kept=$(wc -l <"$WORK/kept")
  if [ "$kept" -gt 500 ]; then
    skipped "$1" "$kept of its files are open"
    return 0
  fi
  place_name=$1
  # find removes each file in the directory where it found it: a path that is changed meanwhile leads nowhere else.
  set --
  while read -r inode; do set -- "$@" ! -inum "$inode"; done <"$WORK/kept"
  find_place "$place_name" "$@" -printf '%b %n\n' -delete >"$WORK/gone"
  # A file with another name elsewhere gives nothing back. Blocks of 512 bytes.
  # shellcheck disable=SC2046
  freed "$place_name" $(awk '{ files++; if ($2 == 1) blocks += $1 } END { printf "%.0f %.0f", blocks * 512, files }' "$WORK/gone")
  [ "$kept" -gt 0 ] && skipped "$place_name" "$kept of its files are open"
  return 0
}

clean_journal() {
  excess=$(journal_excess "$STEWARD_JOURNAL_MIB")
  [ "$excess" -gt 0 ] || return 0
  before=$(available)
  if journalctl --vacuum-size="${STEWARD_JOURNAL_MIB}M" >"$WORK/words" 2>&1; then
    after=$(available)
    freed journal $((after > before ? after - before : 0)) "$(grep -c '^Deleted' "$WORK/words")"
  else
    skipped journal "journalctl: $(tail -n 1 "$WORK/words")"
  fi
}

clean_images() {
  for image_tool in $(image_tools); do
    before=$(available)
    if timeout 300 "$image_tool" image prune --all --force --filter "until=${STEWARD_MIN_AGE_HOURS}h" >"$WORK/words" 2>&1; then
      after=$(available)
      freed container-images $((after > before ? after - before : 0)) 0
    else
      skipped container-images "$image_tool: $(tail -n 1 "$WORK/words")"
    fi
  done
}

available_before=$(available)
for one in $PLACES; do clean_files "$one"; done
clean_journal
clean_images
answer "{\"version\":1,\"path\":$(json "$MOUNT"),\"repeated\":false,\"availableBefore\":$available_before,\"availableAfter\":$(available),\"freed\":[$FREED],\"skipped\":[$SKIPPED]}"
