"""The fixtures of tests/api, for the tests here."""
import importlib.util
import os
import sys

API = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "api")
sys.path.insert(0, API)
sys.dont_write_bytecode = True
_spec = importlib.util.spec_from_file_location("api_conftest", os.path.join(API, "conftest.py"))
_api = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_api)

pytest_configure, pytest_sessionstart = _api.pytest_configure, _api.pytest_sessionstart
server, cloud, admin, tenant = _api.server, _api.cloud, _api.admin, _api.tenant
model, raw_image, template, routes = _api.model, _api.raw_image, _api.template, _api.routes
