# The allow-list of what may be cleaned, and how much lies there. Nothing else is ever removed.
# Each place is regular files found by find itself, so that no link is followed and no name is passed through a shell.
PLACES='package-cache rotated-logs core-dumps'

# find_place PLACE MORE…: runs find over a place's directories for its names, with MORE at the end. Only on the file system of $MOUNT, only what has not
# changed for $STEWARD_MIN_AGE_HOURS. -xdev stays on it, -type f leaves links alone.
find_place() {
  case $1 in
    package-cache)
      dirs='/var/cache/apt/archives /var/cache/dnf /var/cache/yum /var/cache/libdnf5 /var/cache/PackageKit'
      names='.*\.(deb|rpm)'
      ;;
    rotated-logs)
      dirs=/var/log
      names='.*(\.(gz|xz|bz2|zst|old|[0-9]{1,2})|-[0-9]{8}(-[0-9]+)?)'
      ;;
    core-dumps)
      dirs='/var/lib/systemd/coredump /var/crash'
      names='.*'
      ;;
  esac
  shift
  age=$((STEWARD_MIN_AGE_HOURS * 60))
  for dir in $dirs; do
    [ -d "$dir" ] && [ ! -L "$dir" ] && on_mount "$dir" || continue
    # The journal has its own tool.
    find "$dir" -xdev -regextype posix-extended -type f ! -path '/var/log/journal/*' -mmin "+$age" -cmin "+$age" -regex "$names" "$@" 2>/dev/null
  done
}

# Whether a directory lies on the file system of $MOUNT, whichever of its subvolumes.
on_mount() { [ "$(findmnt -nvo MAJ:MIN -T "$1" 2>/dev/null | head -n 1 | tr -d ' ')" = "$ID" ]; }

# Inodes that some process has open or mapped, one a line. By number alone: one of the same number on another file system is spared, too.
list_open() {
  {
    find -L /proc/[0-9]*/fd -maxdepth 1 -type f -printf '%i\n' 2>/dev/null
    awk '$5 > 0 { print $5 }' /proc/[0-9]*/maps 2>/dev/null
  } | sort -u >"$WORK/open"
}

# Bytes that the journal holds beyond $1 MiB, if it is on this mount; 0 without one.
journal_excess() {
  for dir in /var/log/journal /run/log/journal; do
    [ -d "$dir" ] && on_mount "$dir" || continue
    command -v journalctl >/dev/null 2>&1 || continue
    du -skx "$dir" 2>/dev/null | awk -v limit="$1" '{ over = $1 * 1024 - limit * 1048576; printf "%.0f", (over > 0 ? over : 0) }'
    return
  done
  printf 0
}

# Container tools whose images lie on this mount and that answer at once.
image_tools() {
  for images_tool in docker podman; do
    command -v "$images_tool" >/dev/null 2>&1 || continue
    case $images_tool in docker) images_format='{{.DockerRootDir}}' ;; podman) images_format='{{.Store.GraphRoot}}' ;; esac
    root=$(timeout 5 "$images_tool" info --format "$images_format" 2>/dev/null) || continue
    [ -d "$root" ] && on_mount "$root" && echo "$images_tool"
  done
}
