"""The health of this installation: what it takes that mail leaves and comes in, looked at one object at a time.

**An object** is a `Subject`: a kind as in the object file (`account`, `server`, `incoming`, `destination`, `application`, `alias_domain`)
and its name; or the installation itself (`HOUSE`). **An `Examination`** looks at one object: `examine()` asks, judges, and gives an
`Examined`:

- `look`: the verdict in one sentence, the findings (`doctor.findings.Finding`, each with evidence, why it matters, what to do, and its
  `repairs`: a command to copy or the page of the console with the button), and what is unchecked, with the reason;
- `facts`: what is true and no finding, such as the permission tier;  `ends`: what ends when;  `usage`: how much of which limit is used.

Asking and judging are apart, as in a look at a domain. `wiring.health` asks, and fills a frozen dataclass of plain values: `AccountFacts`,
`ServerFacts`, ... A module of this package has the `judge` that makes an `Examined` of them; it does no input or output, and `now` is an
argument. So a verdict is tested without a network, and a gatherer with one.

No examination changes anything at the other side: no mail, no draft, no event. One that takes longer than its patience is cut off and says
so (`looking.examined`), and so is one that raises MailroomError. They run side by side, `AT_ONCE` at most.

How to use it:

    from mailroom.wiring.health import all_examinations, examination, health

    found = await examination(parts, Subject("account", "office")).look()   # one object; ConfigError if there is none
    async for each in examined(all_examinations(parts)): ...                # all of them, as they are done
    report = await health(parts)                                            # all of them: `report.findings`, worst first
"""
