"""Shared package of the QLoRA workshop: each module is one arrow of the day's data flow."""
