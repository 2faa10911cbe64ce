"""Options in snake_case, as Adobe's Python SDK has them, for the library."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from .. import _errors
from ._convert import to_json
from ._model import camel_case
from ._visitor import complete

#: Options that are for this package, not for the library.
_OF_CLIENT = frozenset({"events", "internal", "logger"})
_OF_CALL = frozenset({"callback", "err_callback", "request", "visitor"})


def of_client(options: Mapping[str, Any]) -> Dict[str, Any]:
    """The configuration of a client."""
    config: Dict[str, Any] = {camel_case(key): value for key, value in options.items() if key not in _OF_CLIENT and value is not None}
    interval = config.get("pollingInterval")
    if isinstance(interval, (int, float)) and not isinstance(interval, bool):
        config["pollingInterval"] = round(interval * 1000)  # seconds there
    waiting = config.get("maximumWaitReady")
    if isinstance(waiting, (int, float)) and waiting < 0:
        del config["maximumWaitReady"]  # as long as it takes
    return config


def of_call(options: Mapping[str, Any]) -> Dict[str, Any]:
    """The options of a call. The host's own objects stay as they are."""
    made = {camel_case(key): value for key, value in options.items() if key not in _OF_CALL and value is not None}
    request = to_json(options.get("request"), "DeliveryRequest")
    customers = made.get("customerIds")
    if isinstance(customers, (list, tuple)):
        del made["customerIds"]
        if isinstance(request, dict):
            identity = request["id"] = dict(request.get("id") or {})
            identity["customerIds"] = to_json(customers, "list[CustomerId]") + list(identity.get("customerIds") or [])
    visitor = options.get("visitor")
    if visitor is not None and isinstance(request, dict):
        complete(request, visitor, options.get("consumer_id"))
    if request is not None:
        made["request"] = request
    return made


def check(options: Any) -> Mapping[str, Any]:
    """Options of a call, with callbacks that can be called."""
    if not options or not isinstance(options, Mapping):
        raise _errors.InvalidOptionsError("Options map is required")
    for name in ("callback", "err_callback"):
        if options.get(name) is not None and not callable(options[name]):
            raise _errors.InvalidOptionsError("Callback must be a callable function", {"path": f"/{name}"})
    return options
