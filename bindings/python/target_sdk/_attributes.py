"""The answer of `get_attributes`: offers of type `json`, merged for each mbox."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Mapping

from . import _errors
from ._types import Answer

_REQUIRED: Any = object()


class Attributes(Mapping[str, Dict[str, Any]]):
    """Attributes by mbox: `attributes["mbox"]["key"]`, or `attributes.get_value("mbox", "key", default)`."""

    def __init__(self, document: Dict[str, Any]) -> None:
        self._by_mbox: Dict[str, Dict[str, Any]] = document.pop("attributes", {})
        self._answer = document

    @property
    def answer(self) -> Answer:
        """The answer that they are from: cookies, response, meta."""
        return self._answer  # type: ignore[return-value]

    def get_value(self, mbox: str, key: str, default: Any = _REQUIRED) -> Any:
        """One attribute. Without a default, one that is not there raises `NoAttributeError`."""
        attributes = self._by_mbox.get(mbox)
        if attributes is not None and key in attributes:
            return attributes[key]
        if default is _REQUIRED:
            raise _errors.NoAttributeError(f"there is no attribute {key!r} of the mbox {mbox!r}")
        return default

    def __getitem__(self, mbox: str) -> Dict[str, Any]:
        return self._by_mbox[mbox]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_mbox)

    def __len__(self) -> int:
        return len(self._by_mbox)

    def __repr__(self) -> str:
        return f"Attributes({self._by_mbox!r})"
