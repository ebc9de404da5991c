"""What a profile takes from the Hugging Face Hub (all notebooks but tiny's).

In: a repository at a commit. Out: its folder in this machine's cache, or one Korean line that says why not. What is
whole in the cache is never asked about, and everything is loaded from its folder there, so that no library asks for
anything by itself: where there is no network, the hub's own client retries for minutes. Imports nothing but the
standard library: the preflight and the bundle need it before anything is installed.
"""

from src.hub.cache import GB, KINDS, Cached, HubItem, find, hub_cache
from src.hub.fetching import HubError, check_access, fetch
