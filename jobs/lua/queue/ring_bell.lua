-- include queue/ring
-- KEYS: bell
ring(KEYS[1])
