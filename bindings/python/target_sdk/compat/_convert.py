"""Requests and answers between objects, dicts in snake_case and the JSON of the Delivery API.

Objects are known by `attribute_map` and `openapi_types`, which those of Adobe's `delivery_api_client` have, too.
"""

from __future__ import annotations

import sys
from datetime import date
from typing import Any, Dict, Mapping, Optional, Type

from . import models
from ._model import Model


def to_json(value: Any, kind: str = "object") -> Any:
    """The JSON form of a request or a part of it. `kind` says what a dict stands for: of that the keys may be in
    snake_case; keys of the host's own, of parameters for example, stay as they are."""
    names: Optional[Mapping[str, str]] = getattr(value, "attribute_map", None)
    if names is not None:
        kinds: Mapping[str, str] = value.openapi_types
        parts = ((name, getattr(value, name)) for name in names)
        return {names[name]: to_json(part, kinds[name]) for name, part in parts if part is not None}
    if isinstance(value, Mapping):
        return _from_mapping(value, kind)
    if isinstance(value, (list, tuple)):
        of_part = _inner(kind)
        return [to_json(part, of_part) for part in value]
    if isinstance(value, date):
        return value.isoformat()
    return value


def _from_mapping(value: Mapping[str, Any], kind: str) -> Dict[str, Any]:
    model = _model(kind)
    if model is None:
        return {key: to_json(part) for key, part in value.items()}
    names = {**model.attribute_map, "property": "property"}
    kinds = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
    made = {}
    for key, part in value.items():
        if part is not None:  # Adobe's to_dict() has all members
            name = names.get(key, key)
            made[name] = to_json(part, kinds.get(name, "object"))
    return made


def from_json(value: Any, kind: str, family: Any) -> Any:
    """The object that a part of an answer stands for, of the given family of models; JSON itself without one."""
    if family is None or value is None:
        return value
    if kind.startswith("list["):
        of_part = _inner(kind)
        return [from_json(part, of_part, family) for part in value] if isinstance(value, list) else value
    model = getattr(family, kind, None)
    kinds = getattr(model, "openapi_types", None)
    if not model or not kinds or not isinstance(value, dict):
        return value
    present = {name: value[key] for name, key in model.attribute_map.items() if value.get(key) is not None}
    return model(**{name: from_json(part, kinds[name], family) for name, part in present.items()})


def family_of(request: Any) -> Any:
    """The module whose models an answer is made of: that of the request's model, this package's without a request, none
    for a dict."""
    if request is None:
        return models
    for kind in type(request).__mro__:
        if "attribute_map" in vars(kind):
            module = sys.modules[kind.__module__]
            if hasattr(module, "DeliveryResponse"):
                return module
            return sys.modules.get(kind.__module__.rpartition(".")[0])  # one module for each model, as Adobe has it
    return None


def _inner(kind: str) -> str:
    return kind[len("list[") : -1] if kind.startswith("list[") else "object"


def _model(kind: str) -> Optional[Type[Model]]:
    found = getattr(models, kind, None)
    return found if isinstance(found, type) and issubclass(found, Model) else None
