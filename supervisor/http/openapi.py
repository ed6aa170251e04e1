"""The description of this API: one operation for each route and method that the server has. Pure.

Bodies are described by the Structs that are encoded, so that the description cannot say anything else. HEAD is not
listed; it is answered wherever GET is. Source: OpenAPI 3.1; docs/http.md; docs/states.md.
"""

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from supervisor.compiler.language.schema import scenario_schema
from supervisor.host import build
from supervisor.http.errors import Envelope
from supervisor.http.operation import Answered, Media, Operation, Shape
from supervisor.http.operations import OPERATIONS
from supervisor.http.paths import route_of
from supervisor.http.routes import Route, Serves

Schema = dict[str, Any]

_SCHEMAS: Final = "#/components/schemas/"
_SCENARIO: Final = "scenario."
_BEARER: Final = "bearer"
_PARAMETER: Final = {"in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def openapi(routes: Collection[tuple[str, Any]], *, locked: bool) -> Schema:
    """Return the OpenAPI document.

    Args:
        routes: templates and resources, as the router was given them.
        locked: whether a key is asked for.
    """
    resources = {route_of(template): resource.route for template, resource in routes}
    described = {
        route_of(template): {method: OPERATIONS[route_of(template)][method] for method in _methods(resource)}
        for template, resource in routes
    }
    schemas = _schemas(operation for methods in described.values() for operation in methods.values())
    components: Schema = {"schemas": schemas}
    if locked:
        components["securitySchemes"] = {_BEARER: {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sondad control plane",
            "version": build.version(),
            "description": "Starts, watches and stops scenarios. HEAD is answered wherever GET is.",
        },
        "paths": {
            route: {
                method.lower(): _operation(route, resources[route], method, operation, locked=locked)
                for method, operation in methods.items()
            }
            for route, methods in described.items()
        },
        "components": components,
    }


def _methods(resource: Any) -> list[str]:
    return [method for method in resource.route.allow if method != "HEAD"]


def _operation(path: str, route: Route, method: str, operation: Operation, *, locked: bool) -> Schema:
    fields = [segment[1:-1] for segment in path.split("/") if segment.startswith("{")]
    parameters = [{"name": name, **_PARAMETER} for name in fields] + [
        {"name": name, "in": "query", "required": False, **parameter}
        for name, parameter in operation.parameters.items()
    ]
    responses = dict(operation.responses)
    if route.serves is Serves.CONTROL:
        responses[413] = Answered("The body is longer than --max-body-bytes.")
        if method != "GET":
            responses[408] = Answered("It took longer than --request-timeout.")
    if not locked:
        responses[403] = Answered("A web page of another origin asks, or for a host that is not ours.", Envelope)
    elif not route.public:
        responses[401] = Answered("No valid key came with the request.", operation.error)
    described: Schema = {
        "summary": operation.summary,
        "operationId": operation.name,
        "responses": {str(status): _response(responses[status]) for status in sorted(responses)},
    }
    if parameters:
        described["parameters"] = parameters
    if operation.request:
        described["requestBody"] = {"required": True, "content": _content(operation.request)}
    if locked and not route.public:
        described["security"] = [{_BEARER: []}]
    return described


def _response(answered: Answered) -> Schema:
    response: Schema = {"description": answered.description}
    if answered.body is not None:
        response["content"] = _content({answered.media: answered.body})
    if answered.headers:
        response["headers"] = {name: {"schema": {"type": "string"}} for name in answered.headers}
    return response


def _content(bodies: Mapping[Media, Shape]) -> Schema:
    return {media: {"schema": _schema(body)} for media, body in bodies.items()}


def _schema(body: Shape) -> Schema:
    if isinstance(body, dict):
        return body
    references = [{"$ref": _SCHEMAS + struct.__name__} for struct in _structs(body)]
    return {"anyOf": references} if len(references) > 1 else references[0]


def _structs(body: Shape) -> tuple[type, ...]:
    if isinstance(body, dict):
        return ()
    return body if isinstance(body, tuple) else (body,)


def _schemas(operations: Iterable[Operation]) -> Schema:
    """Return the schemas of every Struct that is answered or asked for, and those of the scenario file."""
    structs = dict.fromkeys(
        struct
        for operation in operations
        for body in (operation.error, *operation.request.values(), *_bodies(operation))
        for struct in _structs(body)
    )
    return _schemas_of(tuple(structs))


@functools.cache
def _schemas_of(structs: tuple[type, ...]) -> Schema:
    _, schemas = msgspec.json.schema_components(structs, ref_template=f"{_SCHEMAS}{{name}}")
    scenario = {_SCENARIO + name: _moved(schema) for name, schema in scenario_schema()["$defs"].items()}
    return {**schemas, **scenario}


def _bodies(operation: Operation) -> list[Shape]:
    return [answered.body for answered in operation.responses.values() if answered.body is not None]


def _moved(schema: Any) -> Any:
    """Return a part of the scenario schema with references that hold in this document."""
    if isinstance(schema, dict):
        return {
            key: _SCHEMAS + _SCENARIO + value.removeprefix("#/$defs/") if key == "$ref" else _moved(value)
            for key, value in schema.items()
        }
    return [_moved(item) for item in schema] if isinstance(schema, list) else schema
