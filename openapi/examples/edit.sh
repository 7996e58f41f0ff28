#!/bin/sh
# One edit with curl: submit, wait, fetch.
#   edit.sh http://127.0.0.1:8000 room.png mask.png "a room with a red carpet" "a room with a yellow carpet" out.png
# Further form fields (see /docs) as further arguments: steps=20 strength=0.5
set -eu
server=$1 image=$2 mask=$3 source=$4 target=$5 out=$6
shift 6
for field in "$@"; do
    set -- "$@" --form-string "$field"
    shift
done

# 202 Accepted: the Location header is the edit's address. A refusal is a problem document.
edit=$(curl --fail-with-body --silent --show-error --output /dev/stderr --write-out '%header{location}' \
    --form "image=@$image" --form "mask=@$mask" \
    --form-string "source_prompt=$source" --form-string "target_prompt=$target" "$@" "$server/v1/edits")

state=queued
while [ "$state" = queued ] || [ "$state" = running ]; do
    sleep 1
    state=$(curl --fail-with-body --silent --show-error "$server$edit" | grep -o '"state":"[a-z]*"' | head -n 1 | cut -d '"' -f 4)
done

# Of a failed edit this answers 409 with the edit's own problem.
curl --fail-with-body --silent --show-error --output "$out" "$server$edit/result"
