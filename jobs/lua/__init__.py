"""Lua scripts that change job records atomically inside Redis."""
