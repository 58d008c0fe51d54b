"""Under which addresses this request sees the three services."""

from dataclasses import dataclass

from starlette.datastructures import Headers

LOGIN_HOSTS = {"login.microsoftonline.com", "login.microsoft.com", "login.windows.net", "sts.windows.net", "login.live.com"}
GRAPH_HOSTS = {"graph.microsoft.com"}
OUTLOOK_HOSTS = {"outlook.office.com", "outlook.office365.com"}
MICROSOFT_HOSTS = LOGIN_HOSTS | GRAPH_HOSTS | OUTLOOK_HOSTS


@dataclass(frozen=True)
class Hosts:
    """Base URLs without a slash at the end; all the same unless the client thinks that it talks to Microsoft."""

    login: str
    graph: str
    outlook: str


REAL = Hosts("https://login.microsoftonline.com", "https://graph.microsoft.com", "https://outlook.office.com")


def seen_by(scheme: str, headers: Headers) -> Hosts:
    host = headers.get("host", "127.0.0.1")
    if host.split(":")[0].lower() in MICROSOFT_HOSTS:
        return REAL
    base = f"{scheme}://{host}"
    return Hosts(base, base, base)
