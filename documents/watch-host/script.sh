STEWARD_SHIPPER
}

unit() {
  cat <<UNIT_END
[Unit]
Description=Steward: ships who logs in, and what is run by sudo
After=systemd-journald.service

[Service]
ExecStart=/bin/sh $SHIPPER/ship.sh
Restart=on-failure
RestartSec=30
Nice=10
MemoryMax=128M
NoNewPrivileges=yes
PrivateNetwork=yes
ProtectSystem=strict
ReadWritePaths=$SHIPPER
ProtectHome=yes
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
UNIT_END
}

# same FILE: what comes in is what stands there; if not it does from now on
same() {
  cat >"$1.new"
  if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv "$1.new" "$1" && CHANGED=true; fi
}

begin
case $STEWARD_WATCH in sessions | commands) ;; *) fail invalid "what is watched is sessions or commands, not $STEWARD_WATCH" 'let Steward run this document' ;; esac
case $STEWARD_GROUP in /*) ;; *) fail invalid 'the log group has no name' 'let Steward run this document' ;; esac
tool systemctl systemd
tool journalctl systemd
tool sha256sum coreutils

mkdir -p "$SHIPPER" && chmod 0755 "$(dirname "$SHIPPER")" && chmod 0750 "$SHIPPER" || fail no-space "$SHIPPER cannot be made" 'make some room'
chgrp cwagent "$SHIPPER" 2>/dev/null
CHANGED=false
shipper | same "$SHIPPER/ship.sh"
cmp -s "$SHIPPER/ship.sh" "$SHIPPER/ship.run" || CHANGED=true
unit | same "$UNIT"
printf '%s\n' "${AWS_SSM_INSTANCE_ID:-unknown}" >"$SHIPPER/host"
[ "$(cat "$SHIPPER/watch" 2>/dev/null)" = "$STEWARD_WATCH" ] || CHANGED=true
printf '%s\n' "$STEWARD_WATCH" >"$SHIPPER/watch" || fail no-space "there is no room in $SHIPPER" 'make some room'
systemctl is-active --quiet steward-shipper.service || CHANGED=true
if [ "$CHANGED" = true ]; then
  must 'systemd reads the unit' systemctl daemon-reload
  must 'the shipper is enabled' systemctl enable --quiet steward-shipper.service
  must 'the shipper starts' systemctl restart steward-shipper.service
  cp "$SHIPPER/ship.sh" "$SHIPPER/ship.run"
fi

# Who logged in by whatever way; SSM's user has no login, so it is named by its number.
rules() {
  echo '-a always,exit -F arch=b64 -S execve,execveat -F auid>=1000 -F auid!=-1 -F key=steward'
  ssm=$(id -u ssm-user 2>/dev/null) && echo "-a always,exit -F arch=b64 -S execve,execveat -F uid=$ssm -F key=steward"
}
EXECVE=off
if [ "$STEWARD_WATCH" = commands ]; then
  if ! command -v auditctl >/dev/null 2>&1 || ! command -v ausearch >/dev/null 2>&1; then
    EXECVE='auditd is not installed'
  else
    CHANGED_RULES=$CHANGED
    CHANGED=false
    mkdir -p "$(dirname "$RULES")"
    rules | same "$RULES"
    EXECVE=on
    if [ "$CHANGED" = true ] || [ -z "$(auditctl -l -k steward 2>/dev/null | grep -e '-S')" ]; then
      augenrules --load >/dev/null 2>&1 || EXECVE='auditd takes no rules: are they locked until the next boot?'
    fi
    CHANGED=$CHANGED_RULES
  fi
elif [ -f "$RULES" ]; then
  rm -f "$RULES"
  augenrules --load >/dev/null 2>&1 || EXECVE='on until the next boot: auditd forgets no rules'
fi

[ -x "$CW_CTL" ] || fail not-found 'the CloudWatch agent is not installed' 'install it, or let Steward do it: log-agent-silent'
[ -e "$CW/etc/amazon-cloudwatch-agent.toml" ] || fail not-found 'the CloudWatch agent has no configuration' 'configure it, or let Steward do it: log-agent-silent'
GIVEN=false
if ! grep -lsF "\"$SHIPPER/lines.ndjson\"" "$CW"/etc/amazon-cloudwatch-agent.d/* | xargs -r grep -lsF "\"$STEWARD_GROUP\"" | grep -qv '\.tmp$'; then
  printf '{"logs":{"logs_collected":{"files":{"collect_list":[{"file_path":"%s","log_group_name":"%s","log_stream_name":"{instance_id}","timezone":"UTC"}]}}}}\n' \
    "$SHIPPER/lines.ndjson" "$STEWARD_GROUP" >"$WORK/steward-hosts.json"
  must 'the agent takes what it ships' timeout 60 "$CW_CTL" -a append-config -m ec2 -s -c "file:$WORK/steward-hosts.json"
  GIVEN=true
fi
printf '{"version":1,"started":%s,"given":%s,"execve":%s}\n' "$CHANGED" "$GIVEN" "$(json "$EXECVE")"
