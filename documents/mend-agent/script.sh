# Installs, configures or restarts the CloudWatch agent, or lets it ship our proof; restarts the ECS agent.
begin
case $STEWARD_AGENT in cloudwatch | ecs) ;; *) fail invalid "the agent is cloudwatch or ecs, not $STEWARD_AGENT" 'let Steward run this document' ;; esac
case $STEWARD_ACTION in install | configure | prove | restart) ;; *) fail invalid "the action is install, configure, prove or restart, not $STEWARD_ACTION" 'let Steward run this document' ;; esac
[ "$STEWARD_AGENT" = cloudwatch ] || [ "$STEWARD_ACTION" = restart ] || fail unsupported 'Steward only restarts the ECS agent' 'install or configure it by hand'
once "$STEWARD_TOKEN"
STEPS=

done_step() { STEPS="$STEPS${STEPS:+,}\"$1\""; }

install_cloudwatch() {
  [ -x "$CW_CTL" ] && return
  if command -v dnf >/dev/null 2>&1; then
    must 'dnf install amazon-cloudwatch-agent' timeout 300 dnf install -y -q amazon-cloudwatch-agent
  elif command -v yum >/dev/null 2>&1; then
    must 'yum install amazon-cloudwatch-agent' timeout 300 yum install -y -q amazon-cloudwatch-agent
  else
    fail tool-missing 'the CloudWatch agent is not in the package sources of this distribution' 'install it from the package that AWS publishes, or by the Distributor of Systems Manager'
  fi
  [ -x "$CW_CTL" ] || fail failed 'the package was installed and brought no agent' 'look at the host'
  done_step installed
}

# What others configured stays: the agent merges what is appended.
configure_cloudwatch() {
  [ -x "$CW_CTL" ] || fail not-found 'the CloudWatch agent is not installed' 'let Steward install it'
  printf '%s' "$STEWARD_CONFIG" | base64 -d >"$WORK/steward.json" 2>/dev/null || fail invalid 'the configuration is not base64' 'let Steward run this document'
  [ -s "$WORK/steward.json" ] || fail invalid 'the configuration is empty' 'let Steward run this document'
  if [ -e "$CW/etc/amazon-cloudwatch-agent.toml" ]; then way=append-config; else way=fetch-config; fi
  must 'the agent takes its configuration' timeout 60 "$CW_CTL" -a "$way" -m ec2 -s -c "file:$WORK/steward.json"
  cp "$WORK/steward.json" "$CW_OWN" && chmod 0644 "$CW_OWN"
  done_step configured
}

# A part of its own beside all others. No section in it is one that others may have too: the agent refuses parts that differ.
prove_cloudwatch() {
  [ -n "$STEWARD_GROUP" ] || return 0
  [ -x "$CW_CTL" ] || fail not-found 'the CloudWatch agent is not installed' 'let Steward install it'
  [ -e "$CW/etc/amazon-cloudwatch-agent.toml" ] || fail not-found 'the CloudWatch agent has no configuration' 'configure it, or let Steward do it'
  printf '{"logs":{"logs_collected":{"files":{"collect_list":[{"file_path":"%s","log_group_name":"%s","log_stream_name":"{instance_id}","timezone":"UTC"}]}}}}\n' \
    "$PROOF" "$STEWARD_GROUP" >"$WORK/steward-proof.json"
  must 'the agent takes its proof' timeout 60 "$CW_CTL" -a append-config -m ec2 -s -c "file:$WORK/steward-proof.json"
  done_step proving
}

restart_cloudwatch() {
  [ -x "$CW_CTL" ] || fail not-found 'the CloudWatch agent is not installed' 'let Steward install it'
  timeout 30 "$CW_CTL" -a stop -m ec2 >/dev/null 2>&1
  must 'the agent starts' timeout 60 "$CW_CTL" -a start -m ec2
  done_step restarted
}

restart_ecs() {
  if ecs_unit; then
    must 'systemctl restart ecs' timeout 90 systemctl restart ecs.service
  elif [ -n "$(ecs_container)" ]; then
    must 'docker restart ecs-agent' timeout 90 docker restart -t 30 ecs-agent
  else
    fail not-found 'no ECS agent is here' 'install it'
  fi
  done_step restarted
}

case $STEWARD_AGENT/$STEWARD_ACTION in
  cloudwatch/install) install_cloudwatch && configure_cloudwatch && prove_cloudwatch ;;
  cloudwatch/configure) configure_cloudwatch && prove_cloudwatch ;;
  cloudwatch/prove) prove_cloudwatch ;;
  cloudwatch/restart) restart_cloudwatch ;;
  ecs/restart) restart_ecs ;;
esac
sleep 3
RUNNING=false
if [ "$STEWARD_AGENT" = cloudwatch ]; then cw_running && RUNNING=true; else ecs_running && RUNNING=true; fi
# The token is the nonce: no other step has it, so no line of before can be taken for this one.
PROVES=false
[ "$STEWARD_AGENT" = cloudwatch ] && cw_proves && proof_line "$STEWARD_TOKEN" 2>/dev/null && PROVES=true
answer "{\"version\":1,\"name\":\"$STEWARD_AGENT\",\"repeated\":false,\"running\":$RUNNING,\"proves\":$PROVES,\"steps\":[$STEPS]}"
