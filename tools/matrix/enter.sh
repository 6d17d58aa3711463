#!/bin/sh
# Run a command in the Debian that lies in a folder, with some of this machine's paths in it:
#
#   enter.sh mount|copy ROOT PATH... -- COMMAND...
#
# mount is for a caller in a mount namespace of its own (unshare --mount), with which the mounts
# end, however the command ends. copy is for where nothing can be mounted: no /proc then.
set -eu
how=$1 root=$2
shift 2

if [ "$how" = mount ]; then
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
else
    mkdir -p "$root/dev/shm"
fi
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then
        mkdir -p "$root$1"
    else
        mkdir -p "$root$(dirname "$1")"
        # A link would lead out of the root, or to nothing.
        [ ! -L "$root$1" ] || rm "$root$1"
        [ -e "$root$1" ] || : >"$root$1"
    fi
    if [ "$how" = mount ]; then
        mount --bind "$1" "$root$1"
    else
        cp -rL --remove-destination --no-target-directory "$1" "$root$1"
    fi
    shift
done
shift
exec chroot "$root" "$@"
