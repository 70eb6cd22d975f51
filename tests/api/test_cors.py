"""Pages of other origins: what a browser must be told so that they may call the API, and that nobody else is told so."""
import subprocess

import pytest
from starvirt import BASE, DAEMON

HERE, THERE = "https://cloud.example", "http://127.0.0.1:3000"
MODELS = BASE + "cloudvm/model"


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    from servers import Servers
    servers = Servers(tmp_path_factory.mktemp("cors"))
    made = {}

    def of(origins):
        if origins not in made:
            made[origins] = servers(options=["--cors.origins", origins] if origins else [])
        return made[origins]

    def call(method, path, origins=f"{HERE}, {THERE}", **headers):
        connection = of(origins).connection(30)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        reply.text = reply.read()
        connection.close()
        return reply

    call.of = of
    yield call
    servers.finish()


def allowed(reply):
    return reply.headers["Access-Control-Allow-Origin"]


def lists(reply, name):
    return {value.strip() for value in reply.headers[name].split(",")}


@pytest.mark.parametrize("path,methods", [
    (MODELS, {"GET", "HEAD", "OPTIONS"}), (BASE + "cloudvm/start", {"PUT", "OPTIONS"}),
    ("/openapi.json", {"GET", "POST", "PUT", "DELETE"}), ("/nothing", {"GET", "POST", "PUT", "DELETE"}),
])
@pytest.mark.parametrize("origin", [HERE, THERE])
def test_a_browser_asks_first(call, path, methods, origin):
    reply = call("OPTIONS", path, Origin=origin, Access_Control_Request_Method="PUT",
                 Access_Control_Request_Headers="key_token, content-type")
    assert (reply.status, reply.text, allowed(reply), reply.headers["Vary"]) == (204, b"", origin, "Origin")
    assert methods <= lists(reply, "Access-Control-Allow-Methods")
    assert {"KEY_TOKEN", "KEY-TOKEN", "X-Auth-Token", "Authorization", "Content-Type", "Idempotency-Key",
            "Accept-Language"} <= lists(reply, "Access-Control-Allow-Headers")
    assert int(reply.headers["Access-Control-Max-Age"]) >= 600
    assert "Access-Control-Allow-Credentials" not in reply.headers


def test_every_answer_may_be_read(call):
    token = call.of(f"{HERE}, {THERE}").admin.token
    asked = [("GET", MODELS, {"KEY-TOKEN": token}, 200), ("GET", MODELS, {}, 200), ("GET", "/nothing", {}, 404),
             ("PUT", MODELS, {}, 405), ("GET", "/healthz", {}, 200), ("GET", "/metrics", {}, 403),
             ("GET", "/%zz", {}, 400), ("GET", MODELS, {"Content-Length": "x"}, 400), ("OPTIONS", MODELS, {}, 204),
             ("GET", "/openapi.json", {}, 200), ("GET", "/console/", {}, 200)]
    for method, path, headers, status in asked:
        reply = call(method, path, Origin=HERE, **headers)
        assert (reply.status, allowed(reply), reply.headers["Vary"]) == (status, HERE, "Origin"), (method, path)
        assert reply.headers["Access-Control-Expose-Headers"] == "*"
        assert "Access-Control-Allow-Methods" not in reply.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "http://cloud.example", "https://cloud.example:8443",
                                    "https://cloud.example.evil.example", "https://a.cloud.example", "null", "", "*",
                                    "https://cloud.example/", None])
def test_nobody_else_is_told_so(call, origin):
    headers = {} if origin is None else {"Origin": origin}
    for method in ("GET", "OPTIONS"):
        reply = call(method, MODELS, **headers, Access_Control_Request_Method="PUT")
        assert allowed(reply) is None and reply.headers["Vary"] == "Origin", "a cache must not mix them up"
        assert "Access-Control-Allow-Methods" not in reply.headers


def test_the_same_origin_in_other_words(call):
    for origin in ("https://cloud.example:443", "HTTPS://Cloud.Example"):
        assert allowed(call("GET", MODELS, Origin=origin)) == origin


def test_everybody(call):
    for origin in (HERE, "https://evil.example", "null"):
        assert allowed(call("GET", MODELS, "*", Origin=origin)) == "*"
        reply = call("OPTIONS", MODELS, "*", Origin=origin, Access_Control_Request_Method="GET")
        assert (reply.status, allowed(reply)) == (204, "*")
    assert allowed(call("GET", MODELS, "*")) is None


def test_off_unless_asked_for(call):
    for method in ("GET", "OPTIONS"):
        reply = call(method, MODELS, None, Origin=HERE, Access_Control_Request_Method="GET")
        assert not [name for name in reply.headers if name.lower().startswith("access-control") or name == "Vary"]


def test_it_opens_no_console(call):
    """The origin of a web-socket is the page's own or nothing."""
    reply = call("GET", "/console/vm/0190a2b4-0000-7000-8000-000000000000", Origin=HERE, Upgrade="websocket",
                 Connection="Upgrade", Sec_WebSocket_Version="13", Sec_WebSocket_Protocol="binary, token.x",
                 Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==")
    assert reply.status == 403


@pytest.mark.parametrize("value", ["cloud.example", "https://cloud.example/", "https://cloud.example/x", "null",
                                   "https://*.example", "ftp://cloud.example", "https://u@cloud.example"])
def test_what_is_no_origin(tmp_path, value):
    done = subprocess.run([DAEMON, "--data", str(tmp_path / "data"), "--cors.origins", value], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 2 and f"cors.origins: '{value}' is neither" in done.stderr
