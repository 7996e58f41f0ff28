"""Every Redis key of this program, with its reason. RQ's own start with `rq:`; `jobs.queue` names them."""

from __future__ import annotations

PREFIX = "magedit:"

# Hash: the record of one edit, the truth about it.
EDIT = PREFIX + "edit:"
# String with a time to live, value the worker's name: someone is working on this edit.
LEASE = PREFIX + "lease:"
# Set of ids that are not terminal: what the reaper watches over, and what the queue limit counts.
OPEN = PREFIX + "open"
# Sorted set id -> time since when an open edit is in no queue and under no lease: the reaper's patience.
MISSING = PREFIX + "missing"
# Sorted set id -> deadline_at of edits that have one and, when last seen, had not begun.
DEADLINES = PREFIX + "deadlines"
# Sorted set id -> expires_at of finished edits: what the sweeper removes next.
EXPIRY = PREFIX + "expiry"
# Sorted sets of ids, all with score 0 and so in the order of the ids, which is that of their making:
# `...:{tenant}:all` and one a state; for lists that page without skipping or repeating.
TENANT = PREFIX + "tenant:"
# Set of model names that have (had) a queue: where the reaper looks for ids.
QUEUES = PREFIX + "queues"
# List by model with one token or none: there is work. Idle workers block on it, whichever line the work is in.
BELL = PREFIX + "bell:"
# Held for the time of one sweep, so that one reaper works at a time.
REAPER_LOCK = PREFIX + "reaper"
# Strings that live as long as nobody is to do again what is named so: however many processes could, the pace is one's.
SWEPT = PREFIX + "swept"
HOUSE_KEPT = PREFIX + "house-kept"
LINES_CLEANED = PREFIX + "lines-cleaned"
INVERSIONS_SWEPT = PREFIX + "inversions-swept"
# String that lives as long as nobody is to search storage for orphans again.
ORPHANS = PREFIX + "orphans"
# String: this deployment's own name, which is in its storage too; so nobody removes another deployment's pictures.
DEPLOYMENT = PREFIX + "deployment"
# Hash model name -> `ModelInfo` as last announced; stays, to tell "no worker" and "unknown" apart.
MODELS = PREFIX + "models"
# Sorted set "model worker" -> time until which the announcement holds.
ANNOUNCED = PREFIX + "announced"
# String by content hash, renewed with the announcements: the tokenizer, for checks without torch.
TOKENIZER = PREFIX + "tokenizer:"
# Hash by id: one API key, as its SHA-256; and the sorted set id -> time of all that were made, for the list.
API_KEY = PREFIX + "api-key:"
API_KEYS = PREFIX + "api-keys"
# String by tenant and rate, with a time to live: when the tenant has the whole rate back (`jobs.tenants.limits`).
RATE = PREFIX + "rate:"
# Hash by tenant and month (2026-01): what the tenant has used (`jobs.tenants.usage`).
USAGE = PREFIX + "usage:"
# Hash by tenant and SHA-256 of an Idempotency-Key, with a time to live: the edit that the key stands for.
IDEMPOTENCY = PREFIX + "idempotency:"
# Sorted set id -> time from which the webhook of a finished edit is to be tried (again).
WEBHOOKS = PREFIX + "webhooks"
# Hash by id: the attempts to deliver an edit's webhook, and how they ended (`jobs.webhooks.deliveries`).
WEBHOOK = PREFIX + "webhook:"
# Hash by tenant: what signs its webhooks (`jobs.webhooks.secrets`).
WEBHOOK_SECRET = PREFIX + "webhook-secret:"
# Hash model name -> seconds per denoising step, exponentially averaged over finished edits.
PACE = PREFIX + "pace"
