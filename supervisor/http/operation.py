"""How one method of one route is described.

Source: OpenAPI 3.1, "Operation Object".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import falcon

from supervisor.http.errors import Envelope

Media = str
Shape = type | tuple[type, ...] | dict[str, Any]
"""A Struct, several of which one is answered, or a schema as it is."""

JSON: Final = falcon.MEDIA_JSON
TEXT: Final = "text/plain"
YAML: Final = "text/yaml"


@dataclass(frozen=True, slots=True)
class Answered:
    """One status of an operation; without a body it is an empty answer."""

    description: str
    body: Shape | None = None
    media: Media = JSON
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route.

    Attributes:
        name: unique among all operations.
        summary: what it does.
        responses: by status; what the route's class adds (401, 408, 413) is not listed.
        parameters: of the query, by name, as OpenAPI describes them.
        request: the body by media type.
        error: what refuses a client without a key.
    """

    name: str
    summary: str
    responses: Mapping[int, Answered]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    request: Mapping[Media, Shape] = field(default_factory=dict)
    error: type = Envelope
