"""What surrounds the lesson; no lesson module imports from here."""

import sys

# nbformat imports jsonschema, which builds a grammar of web addresses, more than a second long; no notebook needs it.
sys.modules.setdefault("rfc3987_syntax", None)
