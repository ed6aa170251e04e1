"""What a route is: its methods, who may ask, and which threads serve it; a resource says so in its attribute `route`.

The router is asked twice for every request: by the I/O thread as soon as the head is there, which decides what of the
body is kept and who serves it, and by the application.
"""

import enum
from dataclasses import dataclass
from typing import Any, Protocol

from falcon.routing import CompiledRouter

from supervisor.http.paths import NameConverter


class Serves(enum.Enum):
    """Which threads serve a route, by what they wait for."""

    CONTROL = "control"
    """Waits for the main loop; as many at once as control calls may be in flight, and bodies have their limit."""

    RELAY = "relay"
    """Waits for the relay, a second at most."""

    READ = "read"
    """Reads shared memory."""

    PROBE = "probe"
    """Answers at once, whatever the others are doing."""


@dataclass(frozen=True, slots=True)
class Route:
    """What holds for one resource.

    Attributes:
        serves: which threads serve it.
        allow: the methods its path exists with.
        takes_body: whether a POST or PATCH of it has a body that is read.
        needs_place: whether a POST of it launches scenarios.
        public: whether it needs no key.
        opens_anywhere: whether pages of other origins may lead to it, and by any name of the host: it is the same for
            everybody and does nothing.
        reads_apart: whether a GET of it reads shared memory only, whatever its other methods wait for.
    """

    serves: Serves
    allow: tuple[str, ...] = ("GET", "HEAD")
    takes_body: bool = False
    needs_place: bool = False
    public: bool = False
    opens_anywhere: bool = False
    reads_apart: bool = False

    def threads(self, method: str) -> Serves:
        """Return which threads serve a request of `method`."""
        return Serves.READ if self.reads_apart and method in ("GET", "HEAD") else self.serves


class Resource(Protocol):
    """A Falcon resource of this API."""

    route: Route


class Routes:
    """The routes of one application.

    Attributes:
        router: what Falcon is to use.
    """

    def __init__(self) -> None:
        self.router = CompiledRouter()
        self.router.options.converters["name"] = NameConverter

    def check(self, template: str, resource: Any) -> None:
        """See that `resource` says what its route is and answers the methods it allows.

        Raises:
            TypeError: it does not.
        """
        route = getattr(resource, "route", None)
        if not isinstance(route, Route):
            raise TypeError(f"{template}: {type(resource).__name__} has no attribute `route`")
        missing = [method for method in route.allow if not hasattr(resource, f"on_{method.lower()}")]
        if missing:
            raise TypeError(f"{template}: {type(resource).__name__} does not answer {', '.join(missing)}")

    def find(self, path: str) -> Resource | None:
        """Return who serves `path`, still percent-encoded; None for an unknown one."""
        if not path.startswith("/") or path.startswith("//"):
            # The router would take any number of leading slashes for one.
            return None
        found = self.router.find(path)
        return None if found is None else found[0]  # type: ignore[return-value]  # checked when it was added
