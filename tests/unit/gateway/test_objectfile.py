"""Objects as a file: what is written can be read, and mistakes have a place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.objectfile import plan, read, write
from mailroom.objects import (
    Account,
    AliasDomain,
    Application,
    Directory,
    GrantType,
    GraphRoute,
    Object,
    OnUnsure,
    OutgoingServer,
    Provider,
    Security,
    SinkRoute,
    SmarthostRoute,
)
from mailroom.tables import dangling
from mailroom_core.errors import ConfigError
from mailroom_core.providers.graph.limits import MIME_LIMIT

letters = st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f")
names = st.text(letters, min_size=1, max_size=20).filter(str.strip)
words = st.lists(st.text(letters, min_size=1, max_size=20), max_size=3).map(tuple)
senders = st.lists(st.sampled_from(["*", "example.com", "mary@example.com"]), max_size=3).map(tuple)
networks = st.lists(st.sampled_from(["10.0.0.7", "192.168.1.0/24", "::1/128"]), max_size=3).map(tuple)
accounts = st.builds(Account, name=names, mailbox=st.text(letters, max_size=20), read_write=st.booleans())
routes = st.one_of(
    st.builds(GraphRoute, account=st.just("office"), mailbox=st.text(letters, max_size=9), on_unsure=st.sampled_from(OnUnsure)),
    st.builds(
        SmarthostRoute,
        host=st.from_regex(r"[a-z]([a-z0-9-]{0,9}[a-z0-9])?(\.[a-z]{2,9})?", fullmatch=True).filter(lambda name: name != "metadata"),
        port=st.integers(1, 65535),
        security=st.sampled_from(Security),
    ),
    st.builds(SinkRoute),
)
servers = st.builds(OutgoingServer, name=names, priority=st.integers(0, 99), from_filter=words, route=routes, bulk=st.booleans())
applications = st.builds(Application, name=names, senders=senders, networks=networks, per_minute=st.integers(0, 99))
domains = st.builds(AliasDomain, name=names, company=st.text(letters, max_size=9))


def directory_of(objects: list[Object]) -> Directory:
    found = Directory(1)
    kinds: dict[type, dict[str, object]] = {
        Account: found.accounts,  # type: ignore[dict-item]  # the kind says which
        OutgoingServer: found.servers,  # type: ignore[dict-item]
        AliasDomain: found.alias_domains,  # type: ignore[dict-item]
        Application: found.applications,  # type: ignore[dict-item]
    }
    for item in objects:
        kinds[type(item)][getattr(item, "name", "")] = item
    return found


@given(
    a=st.lists(accounts, max_size=3),
    s=st.lists(servers, max_size=3),
    p=st.lists(applications, max_size=3),
    d=st.lists(domains, max_size=2),
)
def test_what_export_writes_apply_reads_and_finds_nothing_to_change(
    a: list[Account], s: list[OutgoingServer], p: list[Application], d: list[AliasDomain], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = directory_of([*a, *s, *p, *d, Account(name="office")])
    path = tmp_path_factory.mktemp("objects") / "objects.toml"
    path.write_text(write(directory), "utf-8")
    changes, put, remove = plan(directory, read(path))
    assert (changes, put, remove) == ([], [], [])


def test_a_credential_is_not_in_the_file_and_stays(tmp_path: Path) -> None:
    erp = Application(name="erp", key="f00d")
    path = tmp_path / "o.toml"
    path.write_text(write(directory_of([erp])))
    assert "f00d" not in path.read_text()
    path.write_text('[application.erp]\nsenders = ["example.com"]\n')
    changes, put, _ = plan(directory_of([erp]), read(path))
    assert [(change.what, change.name) for change in changes] == [("change", "erp")]
    assert put == [replace(erp, senders=("example.com",))]


def test_what_is_not_in_the_file_is_removed() -> None:
    changes, put, remove = plan(directory_of([Account(name="old")]), [Account(name="new")])
    assert [(change.what, change.name) for change in changes] == [("add", "new"), ("remove", "old")]
    assert (put, remove) == ([Account(name="new")], [("account", "old")])


def test_all_mistakes_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "o.toml"
    path.write_text(
        '[account.office]\nmailbox = "m@example.com"\n'
        "[server.one]\npriority = 1\n"
        "[server.two]\nsink = {}\nprioriti = 1\n"
        '[server.three]\npriority = "first"\nsink = {}\n'
        '[server.four]\ngraph = { account = "offce" }\n'
        '[application.erp]\nalias_domain = "example.org"\n'
        "[printer.x]\n"
    )
    with pytest.raises(ConfigError) as problem:
        read(path)
    text = str(problem.value)
    for part in (
        ":3: server 'one'",
        ":5: server 'two': there is no setting prioriti",
        ":9: server 'three'",
        "'offce'",
        "'example.org'",
        "'printer'",
    ):
        assert part in text
    assert len(text.splitlines()) == 6


def test_sizes_may_have_units(tmp_path: Path) -> None:
    path = tmp_path / "objects.toml"
    path.write_text('[application.odoo]\nmax_size = "35MiB"\n[server.out]\nmax_size = 1000\nsink = {}\n')
    found = {getattr(item, "name", ""): item for item in read(path)}
    assert isinstance(found["odoo"], Application)
    assert isinstance(found["out"], OutgoingServer)
    assert (found["odoo"].max_size, found["out"].max_size) == (35 * 1024**2, 1000)
    path.write_text('[application.odoo]\nmax_size = "big"\n')
    with pytest.raises(ConfigError, match=r"objects\.toml:1: application 'odoo': 'big' is no size"):
        read(path)


@pytest.mark.parametrize(("account", "server", "mistaken"), [("", "", True), ("tom@example.com", "", False), ("", "sender", False)])
def test_an_app_only_account_needs_a_mailbox_here_or_there(account: str, server: str, mistaken: bool) -> None:
    app = Account(name="app", grant=GrantType.APPLICATION, mailbox=account)
    route = GraphRoute(account="app", mailbox=server)
    found = dangling([app, OutgoingServer(name="out", route=route), Account(name="office")])
    assert [mistake for mistake in found if "no mailbox" in mistake] == found
    assert bool(found) is mistaken


def test_a_google_account_sends_by_smtp_alone(tmp_path: Path) -> None:
    file = tmp_path / "objects.toml"
    file.write_text('[account.g]\nprovider = "google"\n[server.g]\ngraph = { account = "g" }\n')
    with pytest.raises(ConfigError, match="give it a smarthost route"):
        read(file)
    assert len(dangling([Account(name="g", provider=Provider.GOOGLE), OutgoingServer(name="g", route=GraphRoute(account="g"))])) == 1
    file.write_text('[account.g]\nprovider = "google"\n[server.g]\nsmarthost = { host = "smtp.gmail.com", account = "g" }\n')
    assert len(read(file)) == 2


def test_what_a_sign_in_has_found_out_stays_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    directory = directory_of([Account(name="office", client_id="x", read_write=False), Account(name="whole", client_id="x")])
    path = tmp_path / "objects.toml"
    path.write_text('[account.office]\nclient_id = "x"\n[account.whole]\nclient_id = "x"\n[account.new]\nclient_id = "x"\n')
    changes, put, _ = plan(directory, read(path, directory))
    assert [(change.what, change.name) for change in changes] == [("add", "new")]
    assert put == [Account(name="new", client_id="x")]
    path.write_text('[account.office]\nclient_id = "x"\nread_write = true\n[account.whole]\nclient_id = "x"\nread_write = false\n')
    changes, _, _ = plan(directory, read(path, directory))
    assert [change.fields for change in changes] == [("read_write: False -> True",), ("read_write: True -> False",)]


@pytest.mark.parametrize(
    ("read_write", "max_size", "mistaken"),
    [(False, MIME_LIMIT + 1, True), (False, MIME_LIMIT, False), (False, 0, False), (True, MIME_LIMIT + 1, False)],
)
def test_a_server_promises_no_large_mail_that_its_account_may_not_send(read_write: bool, max_size: int, mistaken: bool) -> None:
    """What is larger is refused when it comes, whatever the server says."""
    office = Account(name="office", mailbox="mary@example.com", read_write=read_write)
    found = dangling([office, OutgoingServer(name="out", route=GraphRoute(account="office"), max_size=max_size)])
    assert bool(found) is mistaken
    assert not mistaken or "mailroom connect office --read-write" in found[0]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "//elsewhere.example", "https://", "http://[", "https://a:0"])
@pytest.mark.parametrize("field", ["login_url", "graph_url"])
def test_an_account_is_at_an_address_that_can_be_called(tmp_path: Path, field: str, url: str) -> None:
    """A browser would follow the link on the page of the sign-in."""
    path = tmp_path / "objects.toml"
    path.write_text(f'[account.office]\n{field} = "{url}"\n')
    with pytest.raises(ConfigError, match=f"{field}: .* is none that can be called"):
        read(path)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://login.example.com", "https://"),
        ("http://10.0.0.7", "https://"),
        ("http://169.254.169.254", "link-local"),
        ("https://[fe80::1]", "link-local"),
        ("https://[::ffff:169.254.169.254]", "link-local"),
        ("https://0xa9fea9fe", "link-local"),
        ("https://metadata.google.internal", "cloud"),
        ("https://0.0.0.0", "link-local"),
        ("https://mary:pw@login.example.com", "a user or a password"),
        ("https://login.example.com/?x=", "none that can be called"),
    ],
)
def test_secrets_are_shown_to_no_address_that_nobody_means(tmp_path: Path, url: str, why: str) -> None:
    path = tmp_path / "objects.toml"
    path.write_text(f'[account.office]\nlogin_url = "{url}"\n')
    with pytest.raises(ConfigError, match=f"login_url: .*{why}"):
        read(path)


@pytest.mark.parametrize(
    "url", ["https://login.example.com", "https://10.0.0.7:8443/path", "http://127.0.0.1:8025", "http://[::1]", "http://localhost"]
)
def test_a_provider_of_ones_own_is_called_by_tls_or_on_this_machine(tmp_path: Path, url: str) -> None:
    path = tmp_path / "objects.toml"
    path.write_text(f'[account.office]\nlogin_url = "{url}"\n')
    assert read(path)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "fe80::1", "fe80::1%eth0", "0.0.0.0", "224.0.0.1", "metadata", "smtp.example.com:25", "a b", "a@b"]
)
def test_a_smarthost_is_at_a_host_that_can_be_one(tmp_path: Path, host: str) -> None:
    path = tmp_path / "objects.toml"
    path.write_text(f'[server.out]\nsmarthost = {{ host = "{host}" }}\n')
    with pytest.raises(ConfigError, match="host: "):
        read(path)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "metadata"])
@pytest.mark.parametrize("kind", ["imap", "pop"])
def test_a_mailbox_is_at_a_host_that_can_be_one(tmp_path: Path, kind: str, host: str) -> None:
    path = tmp_path / "objects.toml"
    path.write_text(f'[incoming.info]\n{kind} = {{ host = "{host}", user = "mary" }}\n')
    with pytest.raises(ConfigError, match="host: no server of yours"):
        read(path)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254", "https://169.254.169.254", "http://metadata", "http://0.0.0.0", "http://odoo.example.com"]
)
def test_the_key_of_an_odoo_is_shown_to_no_address_that_nobody_means(tmp_path: Path, url: str) -> None:
    path = tmp_path / "objects.toml"
    path.write_text(f'[destination.odoo]\nodoo = {{ url = "{url}", database = "x", user = "y" }}\n')
    with pytest.raises(ConfigError, match="url: "):
        read(path)


def test_a_tenant_has_no_limit_below_nothing(tmp_path: Path) -> None:
    path = tmp_path / "objects.toml"
    path.write_text('[account.office]\nclient_id = "x"\nexternal_recipients_per_day = -1\n')
    with pytest.raises(ConfigError, match="external_recipients_per_day can't be negative"):
        read(path)


@pytest.mark.parametrize("name", ["mailroom", "followers", "forward:sales"])
def test_no_application_has_the_name_of_mail_that_we_write_ourselves(tmp_path: Path, name: str) -> None:
    """Answers to the mail of one called `mailroom` would be taken for answers to our automatic ones, and reach nobody."""
    file = tmp_path / "objects.toml"
    file.write_text(f'[application."{name}"]\nsenders = ["example.com"]\n')
    with pytest.raises(ConfigError, match="take another"):
        read(file)
