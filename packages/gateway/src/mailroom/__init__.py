"""The Mailroom gateway: takes mail, keeps it safe, delivers it. Start reading at docs/flow.md."""
