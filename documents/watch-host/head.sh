# Lets the host ship who comes in and goes, and what is run by sudo; with `commands` every program that is started in a login as well. By the schedule of State Manager: each run
# renews the shipper's lease, without which it ends by itself after three days.
SHIPPER=/var/lib/steward/shipper
UNIT=/etc/systemd/system/steward-shipper.service
RULES=/etc/audit/rules.d/steward.rules

shipper() {
  printf "AWK_TEXT='%s'\n" "$AWK_TEXT"
  cat <<'STEWARD_SHIPPER'
