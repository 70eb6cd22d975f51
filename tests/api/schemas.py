"""What the description promises of a reply, held against the reply. The part of JSON Schema that it uses."""
import json
import re

from starvirt import BASE

TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list}


def breaches(schema, value, where="data"):
    """Every way in which a value is not what the schema says; keys that it does not name are breaches."""
    if "const" in schema:
        return [] if value == schema["const"] else [f"{where}: {value!r} is not {schema['const']!r}"]
    kind = schema["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{where}: {value!r} is no {kind}"]
    if kind == "object":
        known = schema.get("properties", {})
        must = schema.get("required", known)  # where nothing is said of it, all of them
        return [f"{where}: {key!r} is not described" for key in value if key not in known] + \
               [f"{where}: {key!r} is missing" for key in must if key not in value] + \
               [text for key in value if key in known for text in breaches(known[key], value[key], f"{where}.{key}")]
    if kind == "array" and "items" in schema:
        return [text for i, item in enumerate(value) for text in breaches(schema["items"], item, f"{where}[{i}]")]
    return []


class Replies:
    """The success schemas of the StarVCenter dialect: {operation: schema of the envelope}."""

    def __init__(self, client):
        self.of = {}
        for path, item in json.loads(client.request("GET", "/openapi.json").raw)["paths"].items():
            for method, operation in item.items():
                if method in ("get", "post", "put", "delete"):
                    content = operation["responses"]["200"]["content"]["text/plain"]["schema"]["contentSchema"]
                    (good,) = [one for one in content["oneOf"] if "$ref" not in one]
                    self.of[self.key(f"{method.upper()} {path[len(BASE):]}")] = good

    @staticmethod
    def key(op):
        """Two operations on one path may name its {part} differently; OpenAPI knows it by one name."""
        return re.sub(r"\{\w+\}", "{}", op)

    def rows_of(self, op):
        """What is described of each row of a list."""
        return self.of[self.key(op)]["properties"]["data"].get("items", {}).get("properties")

    def breaches(self, op, reply):
        return [f"{op}: {text}" for text in breaches(self.of[self.key(op)], reply.body, "reply")]
