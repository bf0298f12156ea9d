"""What a user would pick instead, each doing the same job on the same topic; `benchmarks.systems` installs and runs it.

The job: a contact begins as a prospect; a form makes a lead, a reply or a page view with a score over 100 an mql, a
booked meeting an sql. Every event's `data.score` counts; an id among the contact's last 16 counts once. Each move is
published, the state is kept with a changelog, exactly once.
"""
