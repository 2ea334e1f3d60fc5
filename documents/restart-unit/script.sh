# Restarts one unit or container, and says whether another main process runs afterwards.
begin
UNIT=$(printf '%s' "$STEWARD_UNIT" | base64 -d 2>/dev/null && printf x) || fail invalid 'the name is not base64' 'let Steward run this document'
UNIT=${UNIT%x}
case $UNIT in
  '' | -* | *[!A-Za-z0-9@._:\\-]*) fail invalid "that is no name of a unit or container: $UNIT" 'let Steward run this document' ;;
esac
case $STEWARD_KIND in unit | container) ;; *) fail invalid "the kind is unit or container, not $STEWARD_KIND" 'let Steward run this document' ;; esac
REASON=$(protected_reason "$UNIT")
[ -z "$REASON" ] || fail invalid "$UNIT is never restarted by Steward: $REASON" 'restart it by hand, if that is what you want'
once "$STEWARD_TOKEN"

# its cgroup, by which its memory and its main process are known
find_unit() {
  list_units | awk -F '\t' -v kind="$STEWARD_KIND" -v name="$UNIT" '$1 == kind && $3 == name { print $2; exit }'
}
held() { [ -n "$1" ] && echo $(($(field "$1/memory.stat" anon) + $(field "$1/memory.stat" kernel))) || echo 0; }

CGROUP=$(find_unit)
[ -n "$CGROUP" ] || fail not-found "no $STEWARD_KIND called $UNIT runs here" 'inspect the load again'
BEFORE=$(held "$CGROUP")
PID_BEFORE=$(main_pid "$CGROUP")

if [ "$STEWARD_KIND" = unit ]; then
  tool systemctl systemd
  must "systemctl restart $UNIT" timeout 90 systemctl restart -- "$UNIT"
else
  tool docker docker
  must "docker restart $UNIT" timeout 90 docker restart -t 30 "$UNIT"
fi
sleep 3
CGROUP=$(find_unit)
PID_AFTER=$(main_pid "${CGROUP:-/nowhere}")
RESTARTED=false
[ -n "$PID_AFTER" ] && [ "$PID_AFTER" != "$PID_BEFORE" ] && RESTARTED=true
answer "{\"version\":1,\"name\":$(json "$UNIT"),\"kind\":\"$STEWARD_KIND\",\"repeated\":false,\"restarted\":$RESTARTED,\"memoryBefore\":$BEFORE,\"memoryAfter\":$(held "$CGROUP")}"
