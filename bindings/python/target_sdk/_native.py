"""The shared library: finding it, and the few things that every user of it needs.

Every call of a library function gives up the GIL, and the library never calls Python: answers, events and log records are
taken from its queues.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Tuple, Union, cast

from . import _errors
from ._cffi import ffi as _ffi

ffi: Any = _ffi
NULL: Any = ffi.NULL

#: What `get_offers` and its kind take: an object, or JSON text of one that is passed on as it is.
Options = Union[Mapping[str, Any], str, bytes, bytearray]

ENVIRONMENT = "TARGET_SDK_LIBRARY"
SONAME = "libtarget_sdk.so.0"
_ABI = 1
_PACKAGED = Path(__file__).resolve().parent / "lib" / SONAME

_lock = threading.Lock()
_library: Any = None
_path: Optional[str] = None


def load(path: Union[str, "os.PathLike[str]", None] = None) -> Any:
    """Loads the shared library, once. The first that is there: `path`, the environment's, the package's, the system's."""
    global _library, _path
    with _lock:
        if _library is None:
            wanted = os.fspath(path) if path is not None else _default()
            try:
                library = ffi.dlopen(wanted)
            except OSError as error:
                raise _errors.LibraryError(
                    f"cannot load the shared library of target-sdk ({error}); name it with {ENVIRONMENT}"
                    " or target_sdk.load_library(path)"
                ) from error
            if library.target_abi_version() < _ABI:
                raise _errors.LibraryError(f"{wanted} is too old: interface {library.target_abi_version()}, not {_ABI}")
            _library, _path = library, wanted
        elif path is not None and os.fspath(path) != _path:
            raise _errors.LibraryError(f"the library was loaded already, from {_path}")
        return _library


def _default() -> str:
    wanted = os.environ.get(ENVIRONMENT)
    if wanted:
        return wanted
    return str(_PACKAGED) if _PACKAGED.exists() else SONAME


def _forget_lock() -> None:
    """In a forked child: another thread may have held it."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_lock)

_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode

# Looked up once: a declaration as a string would be looked up in each call.
RESULT = ffi.typeof("target_result *")
REQUEST = ffi.typeof("target_request *")
_TEXT = ffi.typeof("const char **")
_SIZE = ffi.typeof("size_t *")


def loads(text: str) -> Any:
    """A document of the library, which has no white space around it."""
    return _decode(text)[0]


def dump(value: Any) -> bytes:
    """JSON text. Text that is no valid Unicode goes through, for the library to refuse."""
    return _encode(value).encode("utf-8", "surrogatepass")


def payload(options: Options) -> bytes:
    """Options as JSON text. Nothing is checked here: the library does that, and names the path of what is wrong."""
    if type(options) is dict:  # nearly always, and far cheaper to ask than for a mapping
        return dump(options)
    if isinstance(options, bytes):
        return options
    if isinstance(options, str):
        return options.encode("utf-8", "surrogatepass")
    if isinstance(options, bytearray):
        return bytes(options)
    if isinstance(options, Mapping):
        return dump(dict(options))
    raise TypeError(f"a mapping, str or bytes is needed, not {type(options).__name__}")


def check(status: int) -> None:
    """Raises the exception for a status that comes without a document."""
    if status:
        raise _errors.refused(status)


def text(library: Any, result: int) -> bytes:
    """The document of a result, which stays the caller's."""
    json_out, size_out = ffi.new(_TEXT), ffi.new(_SIZE)
    check(library.target_result_json(result, json_out, size_out))
    document: bytes = ffi.unpack(json_out[0], size_out[0])
    return document


def finish(library: Any, status: int, out: Any) -> bytes:
    """The document in `out`, which is given back; or the error that it is."""
    result = out[0]
    if not result:
        raise _errors.refused(status)
    try:
        document = text(library, result)
    finally:
        library.target_result_free(result)
        out[0] = 0
    if status:
        raise _errors.from_text(status, document)
    return document


def milliseconds(seconds: Optional[float]) -> int:
    """A deadline in seconds as the library takes it; `None` is the client's own."""
    if seconds is None:
        return 0
    return max(1, wait(seconds))  # 0 would be the default


def wait(seconds: float) -> int:
    """A waiting time in seconds as the library takes it."""
    if not seconds >= 0:  # NaN, too
        raise ValueError(f"a time in seconds is needed, not {seconds!r}")
    return int(min(seconds * 1000 + 0.999, 0xFFFFFFFF))


def at_end_of(owner: object, destroy: Callable[[Any, int], None], library: Any, handle: int) -> Callable[[], None]:
    """Destroys a handle when its owner is collected, or sooner by what this returns; not at the interpreter's end.

    A forked child leaves the handles of its parent alone.
    """
    process = os.getpid()

    def end() -> None:
        if os.getpid() == process:
            destroy(library, handle)

    finalizer: Any = weakref.finalize(owner, end)
    finalizer.atexit = False
    return cast(Callable[[], None], finalizer)


class Operation:
    """One of the three calls, with what they have in common: an asynchronous and a synchronous function."""

    def __init__(self, name: str) -> None:
        self._submit = f"target_{name}_ex"
        self._sync = f"target_{name}_sync"

    def submit(self, library: Any, client: int, arguments: Tuple[Any, ...], call: Any, request: Any) -> None:
        check(getattr(library, self._submit)(client, *arguments, call, request))

    def sync(self, library: Any, client: int, arguments: Tuple[Any, ...], deadline: int) -> bytes:
        out = ffi.new(RESULT)
        try:
            return finish(library, getattr(library, self._sync)(client, *arguments, deadline, out), out)
        finally:
            if out[0]:  # a signal handler raised in between
                library.target_result_free(out[0])


GET_OFFERS = Operation("get_offers")
SEND_NOTIFICATIONS = Operation("send_notifications")
GET_ATTRIBUTES = Operation("get_attributes")
