"""Microsoft Graph: mail out of a Microsoft 365 or Outlook.com mailbox.

Two tiers of permission (`probe` finds out which):

- `Mail.Send` alone: `sending.send_mime_once`, one request. What became of it can't be asked.
- `Mail.ReadWrite` too: a draft is made, its immutable id is committed (`Note`), then it is sent: `sending.send_by_draft`, and
  `large.send_large` for what is above 2.9 MB. After an unanswered send `looking.look` says where the mail is. A draft whose id
  was never committed was never sent; `drafts.orphans` finds it by the attempt's marker.

`errors` is the table of what Graph's errors mean. `limits` is what one mailbox may do in what time.
"""
