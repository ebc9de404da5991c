"""What surrounds the lesson; no lesson module imports from here."""
