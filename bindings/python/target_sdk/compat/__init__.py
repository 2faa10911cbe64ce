"""Adobe's Python SDK, over this library: its users change one import.

    from target_sdk.compat import TargetClient
    from target_sdk.compat.models import ChannelType, Context, DeliveryRequest, ExecuteRequest, MboxRequest

Requests made of Adobe's own `delivery_api_client` are taken as well, and answered with its objects.
"""

from ._client import TargetClient
from ._result import AsyncResult
from .attributes import AttributesProvider

__all__ = ["AsyncResult", "AttributesProvider", "TargetClient"]
