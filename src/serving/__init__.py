"""An adapter for other people (notebooks 03 to 05).

In: an adapter's folder. Out: its card, and an upload that first shows what it would send; and of somebody's adapter on
the hub its folder here.
"""

from src.serving.card import model_card
from src.serving.download import fetch_adapter
from src.serving.upload import UploadError, upload_adapter
