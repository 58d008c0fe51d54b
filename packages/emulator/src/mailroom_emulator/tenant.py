"""Who is in the tenant: accounts, their rights on mailboxes, and the applications that may ask for tokens."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"  # where personal Microsoft accounts live
NAMESPACE = uuid.UUID("5ac1f7cb-5d0c-4a8c-9c60-6d6f0e5b1b4e")


class Right(Enum):
    """What Exchange lets one account do with another's mailbox."""

    FULL_ACCESS = "FullAccess"
    SEND_AS = "SendAs"
    SEND_ON_BEHALF = "SendOnBehalf"


class Realm(Enum):
    ORGANIZATION = "organization"
    CONSUMERS = "consumers"


class Audience(Enum):
    """Which accounts an application registration admits."""

    SINGLE_TENANT = "AzureADMyOrg"
    MULTI_TENANT = "AzureADMultipleOrgs"
    EVERYONE = "AzureADandPersonalMicrosoftAccount"


@dataclass
class Account:
    """A user or shared mailbox. `rights` maps another account's oid to what this one may do there."""

    upn: str
    name: str
    oid: str
    realm: Realm = Realm.ORGANIZATION
    shared: bool = False
    enabled: bool = True
    licensed: bool = True  # without a licence there is no mailbox: MailboxNotEnabledForRESTAPI
    aliases: list[str] = field(default_factory=list)
    rights: dict[str, set[Right]] = field(default_factory=dict)
    revoked_at: datetime | None = None  # refresh tokens issued before this are dead
    max_message_size: int = 35 * 1024 * 1024
    recipient_limit: int = 500
    copy_for_sent_as: bool = False
    copy_for_send_on_behalf: bool = False

    def addresses(self) -> Iterator[str]:
        yield self.upn
        yield from self.aliases

    def may(self, right: Right, other: "Account") -> bool:
        return right in self.rights.get(other.oid, ())


@dataclass
class Secret:
    value: str
    expires: datetime | None = None


@dataclass
class Certificate:
    """A registered certificate: SHA-1 and SHA-256 thumbprints, base64url without padding, and the public key in PEM."""

    sha1: str
    sha256: str
    public_key_pem: bytes


@dataclass
class App:
    """An application registration. `only_mailboxes` is RBAC for Applications: the oids that app roles reach."""

    client_id: str
    name: str
    public: bool
    audience: Audience = Audience.SINGLE_TENANT
    redirect_uris: list[str] = field(default_factory=list)
    spa: bool = False
    secrets: list[Secret] = field(default_factory=list)
    certificates: list[Certificate] = field(default_factory=list)
    roles: set[str] = field(default_factory=set)  # application permissions with admin consent
    admin_scopes: set[str] = field(default_factory=set)  # delegated scopes with admin consent
    requested_roles: set[str] = field(default_factory=set)  # what an admin consent will grant the app by itself
    requested_scopes: set[str] = field(default_factory=set)  # and what it may then do for every person
    only_mailboxes: set[str] | None = None
    enabled: bool = True


class Tenant:
    """One organisation, and the personal accounts beside it."""

    def __init__(self, tenant_id: str, domain: str) -> None:
        self.id = tenant_id
        self.domain = domain
        self.domains = {domain}
        self.accounts: dict[str, Account] = {}  # by oid
        self.apps: dict[str, App] = {}
        self._by_address: dict[str, Account] = {}

    def add(self, account: Account) -> Account:
        self.accounts[account.oid] = account
        for address in account.addresses():
            self._by_address[address.lower()] = account
        return account

    def add_alias(self, account: Account, address: str) -> None:
        account.aliases.append(address)
        self._by_address[address.lower()] = account

    def remove(self, account: Account) -> None:
        del self.accounts[account.oid]
        for address in account.addresses():
            self._by_address.pop(address.lower(), None)

    def account(self, name: str) -> Account | None:
        """Find by oid or by any address, whatever its case."""
        return self.accounts.get(name.lower()) or self._by_address.get(name.lower())

    def realm_tenant(self, account: Account) -> str:
        return CONSUMER_TENANT if account.realm is Realm.CONSUMERS else self.id

    def is_ours(self, address: str) -> bool:
        return address.rpartition("@")[2].lower() in self.domains

    def in_realm(self, realms: Iterable[Realm]) -> list[Account]:
        wanted = set(realms)
        return [a for a in self.accounts.values() if a.realm in wanted]


def make_oid(upn: str) -> str:
    """The same object id for the same name, in every run."""
    return str(uuid.uuid5(NAMESPACE, upn.lower()))
