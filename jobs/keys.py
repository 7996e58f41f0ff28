"""Redis keys of this program, with their content. RQ's own start with `rq:`; `jobs.queue` names them."""

from __future__ import annotations

PREFIX = "magedit:"

# Hash: the record of one edit, the truth about it.
EDIT = PREFIX + "edit:"
# String with a time to live, value the worker's name: that worker holds this edit.
LEASE = PREFIX + "lease:"
# Hash with a time to live: the latest preview of a running edit (`jobs.records.previews`); no part of its record.
PREVIEW = PREFIX + "preview:"
# Set of the unfinished edits' ids: the reaper watches them, the queue limit counts them.
OPEN = PREFIX + "open"
# Sorted set id -> time since when an open edit is in no queue and under no lease; after a while it is requeued.
MISSING = PREFIX + "missing"
# Sorted set id -> deadline_at of edits that have one and had not begun when last checked.
DEADLINES = PREFIX + "deadlines"
# Sorted set id -> expires_at of finished edits: the sweeper's order.
EXPIRY = PREFIX + "expiry"
# Sorted sets of ids, all with score 0 and so ordered by id, which is by creation time:
# `...:{tenant}:all` and one per state; for pagination without skips or repeats.
TENANT = PREFIX + "tenant:"
# The same sets of a tenant's masks.
TENANT_MASKS = PREFIX + "tenant-masks:"
# Set of model names that have (had) a queue; the reaper checks each.
QUEUES = PREFIX + "queues"
# List per model with at most one token: there is work. Idle workers block on it, whichever queue the work is in.
BELL = PREFIX + "bell:"
# Lock held during a sweep, so that one reaper works at a time.
REAPER_LOCK = PREFIX + "reaper"
# Strings with a time to live, one per periodic task: while it lives, no process repeats the task.
SWEPT = PREFIX + "swept"
HOUSE_KEPT = PREFIX + "house-kept"
LINES_CLEANED = PREFIX + "lines-cleaned"
INVERSIONS_SWEPT = PREFIX + "inversions-swept"
# String with a time to live: while it lives, no process searches storage for orphans again.
ORPHANS = PREFIX + "orphans"
# String: this deployment's own name, also kept in its storage, so that no deployment removes another's pictures.
DEPLOYMENT = PREFIX + "deployment"
# Hash model name -> `ModelInfo` as last announced; never expires, to tell "no worker" from "unknown".
MODELS = PREFIX + "models"
# Hash model name -> when it was first announced or declared, in Unix seconds.
MODELS_SINCE = PREFIX + "models-since"
# Hash model name -> hash of its tokenizer: declared models, which take edits while no worker serves them.
DECLARED = PREFIX + "declared"
# Hash model name -> the latest order to load or unload it, and when it was given.
MODEL_ORDERS = PREFIX + "model-orders"
# Sorted set "model worker" -> expiry time of the announcement.
ANNOUNCED = PREFIX + "announced"
# String per content hash, renewed with the announcements: the tokenizer, for checks without torch.
TOKENIZER = PREFIX + "tokenizer:"
# Hash per id: one API key, as its SHA-256; and the sorted set id -> creation time of all keys, for the list.
API_KEY = PREFIX + "api-key:"
API_KEYS = PREFIX + "api-keys"
# String per tenant and rate, with a time to live: when the tenant's quota is full again (`jobs.tenants.limits`).
RATE = PREFIX + "rate:"
# Hash per tenant and month (2026-01): the tenant's usage (`jobs.tenants.usage`).
USAGE = PREFIX + "usage:"
# Hash per tenant and SHA-256 of an Idempotency-Key, with a time to live: the edit that the key is bound to.
IDEMPOTENCY = PREFIX + "idempotency:"
# Sorted set id -> time of the next delivery attempt of a finished edit's webhook.
WEBHOOKS = PREFIX + "webhooks"
# Hash per id: the attempts to deliver an edit's webhook and their outcomes (`jobs.webhooks.deliveries`).
WEBHOOK = PREFIX + "webhook:"
# Hash per tenant: its webhook signing secrets (`jobs.webhooks.secrets`).
WEBHOOK_SECRET = PREFIX + "webhook-secret:"
# Hash model name -> seconds per denoising step, exponentially averaged over finished edits.
PACE = PREFIX + "pace"
