# Writes a line that the CloudWatch agent must ship, where it has our part of a configuration. By the schedule of State Manager, not by a step.
begin
WRITTEN=false
if cw_proves; then
  proof_line beat 2>/dev/null || fail no-space "there is no room for a line in $PROOF" 'make some room'
  WRITTEN=true
fi
printf '{"version":1,"written":%s}\n' "$WRITTEN"
