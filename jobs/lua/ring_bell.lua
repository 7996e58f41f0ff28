-- include ring
-- KEYS: bell
ring(KEYS[1])
