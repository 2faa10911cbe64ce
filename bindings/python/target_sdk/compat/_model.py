"""What all objects of the Delivery API have in common."""

from __future__ import annotations

from typing import Any, ClassVar, Dict

#: Names in JSON that are not the attribute's in camelCase.
_JSON_NAMES = {
    "_property": "property",
    "web_gl_renderer": "webGLRenderer",
    "browser_ua_with_major_version": "browserUAWithMajorVersion",
    "browser_ua_with_full_version": "browserUAWithFullVersion",
}


def camel_case(name: str) -> str:
    """`page_load` as `pageLoad`."""
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


class Model:
    """What all objects have in common. `attribute_map` and `openapi_types` are as in Adobe's package."""

    attribute_map: ClassVar[Dict[str, str]] = {}
    openapi_types: ClassVar[Dict[str, str]] = {}

    def __init_subclass__(cls) -> None:
        attributes: Dict[str, str] = {
            name: kind for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar")
        }
        cls.attribute_map = {name: _JSON_NAMES.get(name) or camel_case(name) for name in attributes}
        cls.openapi_types = {name: _openapi_type(kind) for name, kind in attributes.items()}

    def to_dict(self) -> Dict[str, Any]:
        """All attributes, those that are None too."""
        return {name: _plain(getattr(self, name)) for name in self.attribute_map}


def _openapi_type(annotation: str) -> str:
    kind = annotation
    if kind.startswith("Optional["):
        kind = kind[len("Optional[") : -1]
    if kind.startswith("List["):
        return f"list[{kind[len('List[') : -1]}]"
    if kind.startswith("Dict["):
        return f"dict({kind[len('Dict[') : -1]})"
    return "object" if kind == "Any" else kind


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return value.to_dict()
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return value
