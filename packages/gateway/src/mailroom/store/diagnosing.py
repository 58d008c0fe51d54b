"""What the doctor has seen, and reports about mail in our names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from mailroom.ports import AggregateReport, KeptLook, ReportRow, Seen
from mailroom.store.accepting import EVENTS
from mailroom.store.database import Database
from mailroom.store.values import dump_map, micros, moment

KEEP = """INSERT INTO doctor_looks (domain, at, body) VALUES (?, ?, ?)
    ON CONFLICT (domain) DO UPDATE SET at = excluded.at, body = excluded.body"""
LOOKS = "SELECT domain, at, body FROM doctor_looks"
DROP_LOOK = "DELETE FROM doctor_looks WHERE domain = ?"
REPORT = """INSERT INTO dmarc_reports (reporter, number, domain, begins, ends, policy) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING RETURNING id"""
ROW = """INSERT INTO dmarc_rows (report_id, source, mails, header_from, disposition, dkim, spf, dkim_domains, spf_domain)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
SEEN = """SELECT t.reporter, t.begins, t.policy, r.source, r.mails, r.header_from, r.disposition, r.dkim, r.spf,
        r.dkim_domains, r.spf_domain
    FROM dmarc_reports t JOIN dmarc_rows r ON r.report_id = t.id WHERE t.domain = ? AND t.begins >= ?
    ORDER BY t.begins DESC, r.id LIMIT ?"""
REPORTED = "SELECT domain, count(*), max(ends) FROM dmarc_reports GROUP BY domain"
OLD = "SELECT id FROM dmarc_reports WHERE ends < ? ORDER BY ends LIMIT ?"
DROP = ("DELETE FROM dmarc_rows WHERE report_id {ids}", "DELETE FROM dmarc_reports WHERE id {ids}")


class SqlDiagnoses:
    """See `ports.Diagnoses` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._write = database.write
        self._read = database.read

    def keep(self, look: KeptLook, *, told: str = "", data: Mapping[str, str] | None = None) -> None:
        with self._write() as tx:
            tx.run(KEEP, look.domain, micros(look.at), look.body)
            if told:
                tx.run(EVENTS, 0, None, tx.now, "doctor.changed", told, dump_map(dict(data or {})))

    def looks(self) -> dict[str, KeptLook]:
        with self._read() as tx:
            return {domain: KeptLook(domain, moment(at), body) for domain, at, body in tx.rows(LOOKS)}

    def only(self, domains: Collection[str]) -> None:
        gone = [domain for domain in self.looks() if domain not in domains]
        if gone:
            with self._write() as tx:
                tx.many(DROP_LOOK, [(domain,) for domain in gone])

    def add(self, report: AggregateReport) -> bool:
        with self._write() as tx:
            times = (micros(report.begins), micros(report.ends))
            made = tx.one(REPORT, report.reporter, report.number, report.domain, *times, report.policy)
            if made is None:
                return False
            tx.many(ROW, [(made[0], *_values(row)) for row in report.rows])
            return True

    def seen(self, domain: str, since: datetime, *, limit: int = 100_000) -> Sequence[Seen]:
        with self._read() as tx:
            return [Seen(row[0], moment(row[1]), row[2], _row(row[3:])) for row in tx.rows(SEEN, domain, micros(since), limit)]

    def reported(self) -> dict[str, tuple[int, datetime]]:
        with self._read() as tx:
            return {domain: (count, moment(ends)) for domain, count, ends in tx.rows(REPORTED)}

    def forget_reports(self, before: datetime, *, limit: int) -> bool:
        with self._write() as tx:
            old = [row[0] for row in tx.rows(OLD, micros(before), limit)]
            for statement in DROP:
                tx.change(statement, old)
            return bool(old)


def _values(row: ReportRow) -> tuple[object, ...]:
    flags = (int(row.dkim), int(row.spf))
    return row.source, row.count, row.header_from, row.disposition, *flags, " ".join(row.dkim_domains), row.spf_domain


def _row(values: Sequence[object]) -> ReportRow:
    source, count, header_from, disposition, dkim, spf, dkim_domains, spf_domain = values
    domains = tuple(str(dkim_domains).split())
    return ReportRow(str(source), int(str(count)), str(header_from), str(disposition), bool(dkim), bool(spf), domains, str(spf_domain))
