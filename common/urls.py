"""URLs as logs and answers show them."""

import re
from typing import Final

MASK: Final = "***"
"""What is shown in place of a secret."""

# Greedy up to the last @ before the path, as the host is found behind it.
_USERINFO: Final = re.compile(r"^([^/?#]*://[^/?#:]*):[^/?#]*@")


def mask_userinfo(url: str) -> str:
    """Return `url` with the password of its userinfo masked."""
    return _USERINFO.sub(rf"\1:{MASK}@", url)
