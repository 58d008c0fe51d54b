"""Folders, and who the accounts are."""

from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from mailroom_emulator.graph.call import Call
from mailroom_emulator.graph.errors import GraphError, bad_request
from mailroom_emulator.mailbox import ROOT, Folder, Mailbox


async def list_folders(call: Call) -> Response:
    parent = call.folder() if "folder" in call.params else call.mailbox.well_known(ROOT)
    hidden = call.query.get("includehiddenfolders", "").lower() == "true"
    found = [f for f in call.mailbox.children(parent) if hidden or not f.hidden]
    text = call.query.get("filter", "")
    if text:
        name, operator, value = [*text.split(maxsplit=2), "", ""][:3]
        if name.lower() != "displayname" or operator != "eq" or not value.startswith("'"):
            raise bad_request("Folders can be filtered by displayName eq '...' here.", "RequestBroker--ParseUri")
        found = [f for f in found if f.name.lower() == value.strip("'").replace("''", "'").lower()]
    skip, top = int(call.query.get("skip", 0)), int(call.query.get("top", 10))
    page = found[skip : skip + top]
    body: dict[str, Any] = {"@odata.context": call.context("mailFolders")}
    body["value"] = [folder_json(call.mailbox, f) for f in page]
    if skip + top < len(found):
        more = f"$top={top}&$skip={skip + top}" + ("&includeHiddenFolders=true" if hidden else "")
        body["@odata.nextLink"] = f"{call.hosts.graph}{quote(call.path)}?{more}"
    return JSONResponse(body)


async def get_folder(call: Call) -> Response:
    body = {"@odata.context": f"{call.context('mailFolders')}/$entity", **folder_json(call.mailbox, call.folder())}
    return JSONResponse(body)


async def create_folder(call: Call) -> Response:
    parent = call.folder() if "folder" in call.params else call.mailbox.well_known(ROOT)
    value = await call.json()
    name = str(value.get("displayName") or "")
    if not name:
        raise bad_request("The property 'displayName' is required.", "ErrorInvalidRequest")
    if any(f.name.lower() == name.lower() for f in call.mailbox.children(parent)):
        raise GraphError(409, "ErrorFolderExists", "A folder with the specified name already exists.")
    folder = call.mailbox.add_folder(name, parent)
    return JSONResponse({"@odata.context": f"{call.context('mailFolders')}/$entity", **folder_json(call.mailbox, folder)}, 201)


async def get_account(call: Call) -> Response:
    account = call.account
    local = account.upn.partition("@")[0]
    body: dict[str, Any] = {
        "@odata.context": f"{call.hosts.graph}/v1.0/$metadata#users/$entity",
        "id": account.oid,
        "displayName": account.name,
        "givenName": account.name.split()[0] if account.name else local,
        "surname": account.name.split()[-1] if " " in account.name else None,
        "mail": account.upn,
        "userPrincipalName": account.upn,
        "businessPhones": [],
        "jobTitle": None,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
    }
    select = [s.strip() for s in call.query.get("select", "").split(",") if s.strip()]
    if select:
        proxies = [f"SMTP:{account.upn}", *(f"smtp:{alias}" for alias in account.aliases)]  # in capitals: the primary one
        extra = {"accountEnabled": account.enabled, "proxyAddresses": proxies}
        body = {k: v for k, v in (body | extra).items() if k in select or k.startswith("@")}
    return JSONResponse(body)


def folder_json(mailbox: Mailbox, folder: Folder) -> dict[str, Any]:
    return {
        "id": folder.id,
        "displayName": folder.name,
        "parentFolderId": folder.parent.id if folder.parent else folder.id,
        "childFolderCount": len(mailbox.children(folder)),
        "unreadItemCount": len(folder.unread),
        "totalItemCount": len(folder.order),
        "isHidden": folder.hidden,
    }
