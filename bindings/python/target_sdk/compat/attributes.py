"""Attributes of mboxes, as Adobe's Python SDK gives them."""

from __future__ import annotations

from typing import Any, Dict, Optional

from .. import _errors


class AttributesProvider:
    """The JSON offers of an answer, merged for each mbox."""

    def __init__(self, attributes: Dict[str, Dict[str, Any]], answer: Dict[str, Any]) -> None:
        self.indexed = attributes
        self.offers_response = answer

    def get_value(self, mbox_name: str, key: str) -> Any:
        """One attribute. Raises `NoAttributeError` when there is none."""
        try:
            return self.indexed[mbox_name][key]
        except KeyError:
            raise _errors.NoAttributeError(f"Attribute '{key}' does not exist for mbox '{mbox_name}'") from None

    def as_object(self, mbox_name: Optional[str] = None) -> Any:
        """The attributes of an mbox, None if it has none; without a name those of all mboxes."""
        return self.indexed.get(mbox_name) if mbox_name else self.indexed

    def get_response(self) -> Dict[str, Any]:
        """What `get_offers` would have returned."""
        return self.offers_response
