"""An adapter for other people (notebooks 03 to 05).

In: an adapter's folder. Out: its card, and an upload that first shows what it would send.
"""

from src.serving.card import model_card
from src.serving.upload import UploadError, upload_adapter
