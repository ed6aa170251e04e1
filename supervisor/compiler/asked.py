"""How a body is to run, apart from what stands in it: a part of it, and when."""

from dataclasses import dataclass
from typing import Final

from common.segments import Segment


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request or a command line asks for.

    Attributes:
        segment: which part of the body; None for the whole.
        start_at_ns: when its entries start, ns since the epoch; None for at once.
        resumes: whether it was started elsewhere at that instant, and goes on here with the ticks of now.
        digest: whether digests of all entries are made; otherwise of those that say so.
    """

    segment: Segment | None = None
    start_at_ns: int | None = None
    resumes: bool = False
    digest: bool = False


AS_IT_IS: Final = Asked()
