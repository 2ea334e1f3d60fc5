# Whether the CloudWatch agent and the ECS agent are there, run, and why not. Changes nothing.
begin

# strings_of LENGTH: the lines as JSON strings with commas between, cut to so many bytes
strings_of() { awk -v most="$1" "$AWK_TEXT"'{ printf "%s%s", (NR > 1 ? "," : ""), json(substr($0, 1, most)) }'; }

# last_errors FILE: its last error lines as JSON strings
last_errors() {
  [ -r "$1" ] || return 0
  tail -n 400 "$1" | grep -E 'E!|[Ee]rror' | tail -n 5 | strings_of 300
}

# quoted TEXT: a JSON string, or null for nothing
quoted() { if [ -n "$1" ]; then json "$1"; else printf null; fi; }

age_of() { # NAME: seconds since its oldest process started
  age_pid=$(pgrep -o -f "$1" 2>/dev/null) || { printf 0; return; }
  ps -o etimes= -p "$age_pid" 2>/dev/null | tr -d ' ' || printf 0
}

cloudwatch() {
  installed=false running=false version='' hash='' proof=null
  if [ -x "$CW_CTL" ]; then
    installed=true
    cw_running && running=true
    version=$(cw_status | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p')
    cw_proves && proof="{\"lines\":[$(tail -n 5 "$PROOF" 2>/dev/null | strings_of 120)]}"
    [ -r "$CW_OWN" ] && hash=$(sha256sum "$CW_OWN" | cut -d' ' -f1)
  fi
  age=$(age_of "$CW/bin/amazon-cloudwatch-agent")
  printf '{"name":"cloudwatch","installed":%s,"running":%s,"version":%s,"configHash":%s,"errors":[%s],"connected":null,"proof":%s,"ageSeconds":%s}' \
    "$installed" "$running" "$(quoted "$version")" "$(quoted "$hash")" "$(last_errors "$CW_LOG")" "$proof" "${age:-0}"
}

ecs() {
  installed=false running=false version='' connected=null
  { ecs_unit || [ -n "$(ecs_container)" ]; } && installed=true
  ecs_running && running=true
  metadata=$(ecs_metadata)
  # It has the instance's ARN only once it has registered with the cluster.
  case $metadata in
    *'"ContainerInstanceArn":"arn:'*) connected=true ;;
    *'"ContainerInstanceArn"'*) connected=false ;;
  esac
  version=$(printf '%s' "$metadata" | sed -n 's/.*"Version":"\([^"]*\)".*/\1/p')
  printf '{"name":"ecs","installed":%s,"running":%s,"version":%s,"configHash":null,"errors":[%s],"connected":%s,"proof":null,"ageSeconds":0}' \
    "$installed" "$running" "$(quoted "$version")" "$(last_errors /var/log/ecs/ecs-agent.log)" "$connected"
}

printf '{"version":1,"at":"%s","os":%s,"agents":[%s,%s]}\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
  "$(json "$(. /etc/os-release 2>/dev/null; echo "${ID:-linux} ${VERSION_ID:-}" | sed 's/ $//')")" "$(cloudwatch)" "$(ecs)"
