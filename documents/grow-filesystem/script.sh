# Lets a file system use all of its device: partition, LVM, then the file system itself. Never shrinks. What is done already is found done: it may be
# stopped anywhere and run again.
begin
decode_mount
once "$STEWARD_TOKEN"
find_mount
STEPS=

step() { STEPS="$STEPS${STEPS:+,}$(json "$1")"; }

# grow_layer NAME: all that lies below NAME first, then NAME
grow_layer() {
  case $(kind_of "$1") in
    disk) ;;
    partition)
      grow_layer "$(parent_of "$1")"
      grow_partition "$1"
      ;;
    lvm)
      for slave in "/sys/class/block/$1/slaves"/*; do grow_layer "$(basename "$slave")"; done
      grow_lvm "$1"
      ;;
    *) fail unsupported "$1 is $(kind_of "$1"), which Steward does not grow" 'grow it by hand' ;;
  esac
}

# Less than this is alignment, and the copy of the GPT at the disk's end. Sectors of 512 bytes.
SLACK=4096
# A DOS table cannot name what lies beyond.
DOS_LIMIT=4294967295

grow_partition() {
  disk=$(parent_of "$1")
  number=$(cat "/sys/class/block/$1/partition")
  end=$(($(cat "/sys/class/block/$1/start") + $(sectors "$1")))
  limit=$(sectors "$disk")
  [ "$(table_of "$disk")" = dos ] && [ "$limit" -gt $DOS_LIMIT ] && limit=$DOS_LIMIT
  [ $((limit - end)) -le $SLACK ] && return 0
  is_last "$1" || fail not-last "another partition starts behind $1" 'move it, or put the data on a volume of its own'
  tool sfdisk fdisk
  before=$(size_of "$1")
  # The table's second copy moves to the new end of the disk first, else its old place bounds the partition.
  [ "$(table_of "$disk")" = gpt ] && must "the partition table of $disk" sfdisk --relocate gpt-bak-std --no-reread --force "/dev/$disk"
  echo ', +' >"$WORK/partition"
  must "partition $1" sh -c 'sfdisk --no-reread --no-tell-kernel --force -N "$1" "$2" <"$3"' sh "$number" "/dev/$disk" "$WORK/partition"
  must "partition $1" partx --update --nr "$number" "/dev/$disk"
  after=$(size_of "$1")
  [ "$after" -gt "$before" ] || fail failed "the kernel does not see that partition $1 has grown" 'reboot the host, then let it run again'
  step "partition $1 $before → $after"
}

grow_lvm() {
  tool lvextend lvm2
  for slave in "/sys/class/block/$1/slaves"/*; do must "physical volume $(basename "$slave")" pvresize "/dev/$(basename "$slave")"; done
  IFS=$(printf '\t') read -r group volume free layout <<LVM
$(lv_words "$1" vg_name,lv_name,vg_free,lv_layout)
LVM
  [ -n "$group" ] || fail failed "lvs does not know $1" 'look at the host: vgs and lvs'
  case $layout in linear* | striped*) ;; *) fail unsupported "$group/$volume is a $layout volume, which Steward does not grow" 'grow it by hand' ;; esac
  [ "$free" -gt 0 ] || return 0
  before=$(size_of "$1")
  must "logical volume $group/$volume" lvextend --extents +100%FREE "$group/$volume"
  step "lvm $group/$volume $before → $(size_of "$1")"
}

grow_filesystem() {
  case $TYPE in
    ext2 | ext3 | ext4)
      tool resize2fs e2fsprogs
      must "$TYPE at $MOUNT" resize2fs "/dev/$1"
      ;;
    xfs)
      tool xfs_growfs xfsprogs
      must "xfs at $MOUNT" xfs_growfs "$MOUNT"
      ;;
    btrfs)
      tool btrfs btrfs-progs
      must "btrfs at $MOUNT" btrfs filesystem resize max "$MOUNT"
      ;;
  esac
}

case $TYPE in ext2 | ext3 | ext4 | xfs | btrfs) ;; *) fail unsupported "$MOUNT is $TYPE, which Steward does not grow" 'grow it by hand' ;; esac
[ "$MODE" = ro ] && fail read-only "$MOUNT is mounted read-only" 'look for I/O errors in the kernel log, then remount or repair it'
if [ "$TYPE" = btrfs ]; then
  uuid=$(blkid -p -s UUID -o value "$SOURCE" 2>/dev/null)
  [ "$(ls "/sys/fs/btrfs/$uuid/devices" 2>/dev/null | wc -l)" -gt 1 ] && fail unsupported "$MOUNT is a btrfs over several devices" 'grow it by hand'
fi

set -- $(usage_of "$MOUNT")
size_before=$1
name=$(kernel_name "$ID" "$SOURCE" "$TYPE")
grow_layer "$name"
grow_filesystem "$name"
set -- $(usage_of "$MOUNT")
size_after=$1
[ "$size_after" -gt "$size_before" ] && step "$TYPE $size_before → $size_after"
answer "{\"version\":1,\"path\":$(json "$MOUNT"),\"repeated\":false,\"sizeBefore\":$size_before,\"sizeAfter\":$size_after,\"steps\":[$STEPS]}"
