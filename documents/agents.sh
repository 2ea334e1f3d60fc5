# The CloudWatch agent and the ECS agent: where they are and whether they run. For inspect-agents, mend-agent and beat-agent.
CW=/opt/aws/amazon-cloudwatch-agent
CW_CTL=$CW/bin/amazon-cloudwatch-agent-ctl
# What Steward configured, as it was given: its hash tells whether that is still what the policy wants.
CW_OWN=$CW/etc/steward.json
CW_LOG=$CW/logs/amazon-cloudwatch-agent.log
# Lines of ours, which the agent ships where it has our part of a configuration. Not in /var/log: what others ship from there is theirs.
PROOF=/var/lib/steward/agent-proof

# Some part of the agent's configuration names it, whoever wrote that part; what it has refused is left behind as .tmp.
cw_proves() { grep -lsF "\"$PROOF\"" "$CW"/etc/amazon-cloudwatch-agent.d/* | grep -qv '\.tmp$'; }

# proof_line WORD: a line that must arrive. What was shipped is not read again, so the file begins anew now and then.
proof_line() {
  mkdir -p "$(dirname "$PROOF")" && chmod 0755 "$(dirname "$PROOF")" || return 1
  [ "$(stat -c %s "$PROOF" 2>/dev/null || echo 0)" -lt 65536 ] || : >"$PROOF" || return 1
  printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" >>"$PROOF" && chmod 0644 "$PROOF"
}

cw_status() { [ -x "$CW_CTL" ] && timeout 15 "$CW_CTL" -a status -m ec2 2>/dev/null | tr -d '\n'; }
cw_running() { case $(cw_status) in *'"status": "running"'* | *'"status":"running"'*) return 0 ;; *) return 1 ;; esac; }

ecs_unit() { command -v systemctl >/dev/null 2>&1 && systemctl cat ecs.service >/dev/null 2>&1; }
ecs_container() { command -v docker >/dev/null 2>&1 && timeout 5 docker inspect -f '{{.State.Running}}' ecs-agent 2>/dev/null; }
ecs_metadata() { command -v curl >/dev/null 2>&1 && timeout 3 curl -s http://localhost:51678/v1/metadata 2>/dev/null; }
ecs_running() { [ "$(ecs_container)" = true ] || { ecs_unit && systemctl is-active --quiet ecs.service; }; }
