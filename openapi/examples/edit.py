"""One edit with Python and httpx: submit, wait, fetch.

python edit.py http://127.0.0.1:8000 room.png mask.png "a room with a red carpet" "a room with a yellow carpet" out.png
Further form fields (see /docs) as further arguments: steps=20 strength=0.5
"""

import sys
import time
from pathlib import Path

import httpx

server, image, mask, source, target, out, *fields = sys.argv[1:]

with httpx.Client(base_url=server, timeout=60) as http:
    submitted = http.post(
        "/v1/edits",
        files={"image": Path(image).read_bytes(), "mask": Path(mask).read_bytes()},
        data={
            "source_prompt": source,
            "target_prompt": target,
            **dict(field.split("=", 1) for field in fields),
        },
    )
    if submitted.status_code != 202:
        problem = submitted.json()  # RFC 9457: title, detail, code, errors [{field, message}]
        sys.exit(f"{problem['title']}: {problem['detail']}")

    location = submitted.headers["location"]
    while (edit := http.get(location)).json()["state"] in ("queued", "running"):
        time.sleep(int(edit.headers["retry-after"]))

    result = http.get(f"{location}/result")
    if result.status_code != 200:
        sys.exit(result.json()["detail"])
    Path(out).write_bytes(result.content)
