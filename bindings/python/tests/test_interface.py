"""The package says what header, library and Cargo.toml say."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys

import target_sdk
from support import ROOT, ended, python
from target_sdk import ClientState, TargetError, _errors, _log, _native
from target_sdk._native import ffi


def statuses() -> dict[int, str]:
    library, out = _native.load(), ffi.new("target_status *")
    found: dict[int, str] = {}
    while library.target_status_at(len(found), out) == 0:
        found[int(out[0])] = ffi.string(library.target_status_name(out[0])).decode()
    return found


def test_declarations_are_those_of_the_header() -> None:
    generator = ROOT / "bindings" / "python" / "tools" / "generate.py"
    done = subprocess.run([sys.executable, generator, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_is_an_exception_for_each_status() -> None:
    known = statuses()
    assert len(known) > 20
    ours = {kind.code: kind.name for kind in _errors._BY_CODE.values()}
    assert {0: "TARGET_OK", **ours} == known
    for code, kind in _errors._BY_CODE.items():
        assert kind.__name__ in target_sdk.__all__, f"{kind.__name__} ({code}) is not public"


def test_constants_are_those_of_the_header() -> None:
    library = _native.load()
    for state in ClientState:
        assert getattr(library, f"TARGET_STATE_{state.name}") == state
    for ours in _log._TO_PYTHON:
        assert ours in (library.TARGET_LOG_ERROR, 2, 3, 4, library.TARGET_LOG_TRACE)
    assert (library.TARGET_KIND_CALL, library.TARGET_KIND_EVENT, library.TARGET_KIND_LOG) == (0, 1, 2)
    assert library.TARGET_ABI_VERSION == _native._ABI


def test_versions_agree() -> None:
    cargo = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    project = re.search(r'^version = "(.*)"', (ROOT / "bindings/python/pyproject.toml").read_text(), re.MULTILINE)
    assert cargo and project
    assert target_sdk.__version__ == project[1] == cargo[1] == target_sdk.library_version()


def test_cookie_names() -> None:
    assert target_sdk.cookie_name() == "mbox"
    assert target_sdk.location_hint_cookie_name() == "mboxEdgeCluster"
    assert target_sdk.visitor_cookie_name("1234@AdobeOrg") == "AMCV_1234@AdobeOrg"


def test_exceptions_survive_pickling() -> None:
    document = {"code": -8, "name": "TARGET_E_TIMEOUT", "message": "late", "retryable": True, "attempts": 2}
    error = pickle.loads(pickle.dumps(_errors.failed(-8, document)))
    assert isinstance(error, target_sdk.TargetTimeoutError) and isinstance(error, TimeoutError)
    assert (error.document, error.message, error.retryable, error.attempts) == (document, "late", True, 2)
    for kind in _errors._BY_CODE.values():
        assert isinstance(pickle.loads(pickle.dumps(kind())), kind)
    assert isinstance(target_sdk.InvalidOptionsError(), ValueError)


def test_a_status_from_a_newer_library() -> None:
    error = _errors.failed(-99, {"code": -99, "name": "TARGET_E_NEW", "message": "new"})
    assert type(error) is TargetError and (error.code, error.name, str(error)) == (-99, "TARGET_E_NEW", "TARGET_E_NEW: new")
    assert TargetError.code == 0


def test_a_library_that_is_not_there() -> None:
    code = """if True:
        import target_sdk
        try:
            target_sdk.TargetClient.create({})
        except target_sdk.LibraryError as error:
            assert isinstance(error, ImportError) and "TARGET_SDK_LIBRARY" in str(error), error
        else:
            raise SystemExit("a library was found")
    """
    ended(python(code, TARGET_SDK_LIBRARY="/nowhere/libtarget_sdk.so"))


def test_a_library_by_its_path() -> None:
    code = """if True:
        import os, target_sdk
        path = os.environ.pop("TARGET_SDK_LIBRARY")
        target_sdk.load_library(path)
        target_sdk.load_library(path)
        target_sdk.load_library()
        try:
            target_sdk.load_library("/elsewhere.so")
        except target_sdk.LibraryError:
            print(target_sdk.library_version())
    """
    assert ended(python(code)).strip() == target_sdk.__version__
