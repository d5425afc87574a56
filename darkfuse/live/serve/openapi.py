"""The service described as OpenAPI 3.1, from the same routes that answer."""

from __future__ import annotations

from typing import Any

from darkfuse.live.serve.form import JSON, Route

_ERRORS = {
    "400": "What was sent cannot be used.", "401": "The token is missing or wrong.",
    "403": "Not by this name, or not from another site's page.", "404": "There is no such model.",
    "408": "The request took too long to come.", "409": "A newer picture took this one's place.",
    "413": "Too much was sent.", "415": "Not of that type.", "422": "A parameter is missing.",
    "429": "Too many pictures are waiting; Retry-After says when to come again.",
    "431": "The head of the request is too long.", "500": "The network could not be run.",
    "503": "Not ready, or no room for more.", "504": "It had to wait longer than its deadline.",
}
_ALWAYS = ("400", "403", "408", "411", "413", "431", "503")
_PICTURE = ("404", "409", "429", "500", "504")


def description(routes: list[Route], version: str, secret: bool) -> dict[str, Any]:
    """The document; `secret`: a token is asked for."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, secret)
    document: dict[str, Any] = {
        "openapi": "3.1.0", "paths": paths,
        "info": {"title": "darkfuse serve", "version": version,
                 "description": "Objects in pictures, by a Darknet network in little memory."},
    }
    if secret:
        document["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    return document


def _operation(route: Route, secret: bool) -> dict[str, Any]:
    codes = [*_ALWAYS, *(_PICTURE if route.ask is not None else ()), *(("422",) if route.fetches else ()),
             *(("409", "415") if route.takes else ()), *(("401",) if secret and not route.open else ())]
    content = {kind: {"schema": schema} for kind, schema in route.gives.items()}
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": content}}
    for code in sorted(set(codes)):
        responses[code] = {"description": _ERRORS.get(code, "The length of the body is missing.")}
    operation: dict[str, Any] = {"summary": route.about, "responses": responses}
    if secret and not route.open:
        operation["security"] = [{"token": []}]
    parameters = []
    if "{" in route.path:
        name = route.path.partition("{")[2].partition("}")[0]
        parameters.append({"name": name, "in": "path", "required": True,
                           "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}})
    if route.ask is not None:
        parameters += [{"name": name, "in": "query", "required": route.fetches, "schema": schema}
                       for name, schema in route.parameters.items()]
        if not route.fetches:
            operation["requestBody"] = {"required": True, "content": _picture(route)}
    elif route.takes:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": route.parameters}}}
    if parameters:
        operation["parameters"] = parameters
    return operation


def _picture(route: Route) -> dict[str, Any]:
    """Bodies with a picture: as it is, or in a form."""
    fields = {name: schema for name, schema in route.parameters.items()}
    if route.key:
        fields[route.key] = {"type": "string"}
    image = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {"type": "object", "required": ["image"], "properties": {"image": image, **fields}}
    raw = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
    return {"multipart/form-data": {"schema": form}, "image/jpeg": raw, "image/png": raw,
            "application/octet-stream": raw}
