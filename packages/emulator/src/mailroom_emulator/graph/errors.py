"""How Graph says no (facts 5.1, 5.2)."""

from datetime import datetime


class GraphError(Exception):
    """An error answer: HTTP status, Graph's code, and a message that nobody should branch on."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def error_body(code: str, message: str, now: datetime, request_id: str, client_request_id: str) -> dict[str, object]:
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S")
    inner = {"date": stamp, "request-id": request_id, "client-request-id": client_request_id}
    return {"error": {"code": code, "message": message, "innerError": inner}}


def item_not_found() -> GraphError:
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def folder_not_found() -> GraphError:
    return GraphError(404, "ErrorItemNotFound", "The specified folder could not be found in the store.")


def access_denied() -> GraphError:
    return GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def send_as_denied() -> GraphError:
    return GraphError(
        403,
        "ErrorSendAsDenied",
        "The user account which was used to submit this request does not have the right to send mail on behalf of the"
        " specified sending account., Cannot submit message.",
    )


def invalid_recipients(detail: str) -> GraphError:
    return GraphError(400, "ErrorInvalidRecipients", f"At least one recipient is not valid., {detail}")


def bad_request(message: str, code: str = "BadRequest") -> GraphError:
    return GraphError(400, code, message)


def too_large(status: str) -> GraphError:
    """A request above 4 MB; both answers have been seen (facts 1.2)."""
    if status == "400":
        return GraphError(400, "BadRequest", "The maximum request length supported is 4MB.")
    return GraphError(413, "RequestEntityTooLarge", "The request entity is too large: the limit is 4MB.")


def not_authenticated(message: str) -> GraphError:
    challenge = (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize",'
        ' client_id="00000003-0000-0000-c000-000000000000"'
    )
    return GraphError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": challenge})
