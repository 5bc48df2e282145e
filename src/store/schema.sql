-- The first schema. Instants (until, ends, ..) are milliseconds since boot, stored as the 64 bits they are; dates (_at)
-- are milliseconds since 1970. Ids are 16 bytes. `seq` names the journal row that holds a copy of the row.

CREATE TABLE sales (
    no           INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    open         INTEGER NOT NULL CHECK (open IN (0, 1)),
    till         INTEGER NOT NULL CHECK (till BETWEEN 1 AND 9999),
    ticket_epoch INTEGER CHECK (ticket_epoch BETWEEN 0 AND 4294967295),
    ticket       INTEGER CHECK (ticket BETWEEN 0 AND 4294967295),
    minor        INTEGER NOT NULL CHECK (minor BETWEEN 0 AND 999999999999),
    currency     TEXT NOT NULL CHECK (length(currency) = 3),
    code         TEXT NOT NULL CHECK (length(code) = 2),
    asked_at     INTEGER,
    ticket_at    INTEGER,
    ended_at     INTEGER,
    boot         BLOB NOT NULL CHECK (length(boot) = 16),
    ends         INTEGER NOT NULL,
    hears_result INTEGER NOT NULL CHECK (hears_result IN (0, 1)),
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'offered', 'paying', 'aborting', 'approved', 'declined', 'cancelled', 'lapsed')),
    session      BLOB CHECK (length(session) = 16),
    until        INTEGER,
    why          TEXT,
    reason       TEXT,
    attempt      BLOB CHECK (length(attempt) = 16),
    telling      TEXT CHECK (telling IN ('telling', 'take-later', 'taken', 'rejected', 'unheard', 'no-channel')),
    tell_at      INTEGER,
    tell_times   INTEGER,
    seq          INTEGER NOT NULL,
    CHECK (ticket_epoch IS NULL OR ticket IS NOT NULL),
    CHECK ((state IN ('offered', 'paying', 'aborting')) = (session IS NOT NULL)),
    CHECK (state NOT IN ('offered', 'aborting') OR until IS NOT NULL),
    CHECK ((state IN ('aborting', 'declined', 'cancelled')) = (why IS NOT NULL)),
    CHECK ((state = 'approved') = (attempt IS NOT NULL)),
    CHECK ((state IN ('approved', 'declined', 'cancelled', 'lapsed')) = (telling IS NOT NULL)),
    CHECK (telling IS NOT 'take-later' OR (tell_at IS NOT NULL AND tell_times IS NOT NULL))
) STRICT;
CREATE INDEX sales_open ON sales (no) WHERE open = 1;
CREATE INDEX sales_of_till ON sales (till);
CREATE INDEX sales_by_date ON sales (asked_at);
CREATE INDEX sales_summed ON sales (till, ticket_epoch, state, minor)
    WHERE state IN ('approved', 'declined', 'cancelled', 'lapsed');

CREATE TABLE attempts (
    no             INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    sale           BLOB NOT NULL REFERENCES sales (id),
    number         INTEGER NOT NULL CHECK (number BETWEEN 0 AND 4294967295),
    session        BLOB NOT NULL CHECK (length(session) = 16),
    expires_secs   INTEGER NOT NULL CHECK (expires_secs BETWEEN 0 AND 4294967295),
    state          TEXT NOT NULL CHECK (state IN ('intent', 'open', 'paid', 'closed')),
    link           TEXT,
    until          INTEGER,
    doubt_boot     BLOB CHECK (length(doubt_boot) = 16),
    doubt_since    INTEGER,
    doubt_at       INTEGER,
    paid_at        INTEGER,
    paid_right     INTEGER CHECK (paid_right IN (0, 1)),
    why            TEXT,
    reason         TEXT,
    version        INTEGER NOT NULL,
    tries          INTEGER NOT NULL CHECK (tries BETWEEN 0 AND 4294967295),
    failure        TEXT,
    failure_at     INTEGER,
    paid_minor     INTEGER NOT NULL,
    checked        INTEGER NOT NULL CHECK (checked IN (0, 1)),
    person_why     TEXT,
    person_at      INTEGER,
    seq            INTEGER NOT NULL,
    CHECK ((state = 'open') = (link IS NOT NULL AND until IS NOT NULL)),
    CHECK ((state = 'paid') = (paid_right IS NOT NULL)),
    CHECK ((state = 'closed') = (why IS NOT NULL)),
    CHECK ((doubt_boot IS NULL) = (doubt_since IS NULL)),
    CHECK (doubt_boot IS NULL OR state IN ('intent', 'open'))
) STRICT;
CREATE INDEX attempts_of_sale ON attempts (sale);
CREATE INDEX attempts_unchecked ON attempts (no) WHERE checked = 0;

CREATE TABLE refunds (
    no             INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    sale           BLOB NOT NULL REFERENCES sales (id),
    attempt        BLOB NOT NULL REFERENCES attempts (id),
    minor          INTEGER NOT NULL CHECK (minor BETWEEN 0 AND 999999999999),
    currency       TEXT NOT NULL CHECK (length(currency) = 3),
    why            TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('intent', 'accepted', 'done', 'refused')),
    doubt_boot     BLOB CHECK (length(doubt_boot) = 16),
    doubt_since    INTEGER,
    doubt_at       INTEGER,
    person_why     TEXT,
    person_at      INTEGER,
    seq            INTEGER NOT NULL,
    CHECK ((doubt_boot IS NULL) = (doubt_since IS NULL)),
    CHECK (doubt_boot IS NULL OR state = 'intent')
) STRICT;
CREATE INDEX refunds_of_sale ON refunds (sale);

-- What a ticket means. Without an epoch, `epoch` is -1: NULLs would not be the same ticket.
CREATE TABLE tickets (
    till   INTEGER NOT NULL CHECK (till BETWEEN 1 AND 9999),
    epoch  INTEGER NOT NULL CHECK (epoch BETWEEN -1 AND 4294967295),
    ticket INTEGER NOT NULL CHECK (ticket BETWEEN 0 AND 4294967295),
    sale   BLOB NOT NULL REFERENCES sales (id),
    seq    INTEGER NOT NULL,
    PRIMARY KEY (till, epoch, ticket)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    ip         TEXT NOT NULL,
    mac        BLOB CHECK (length(mac) = 6),
    boot       BLOB NOT NULL CHECK (length(boot) = 16),
    until      INTEGER NOT NULL,
    pair_till  INTEGER CHECK (pair_till BETWEEN 1 AND 9999),
    pair_since INTEGER,
    pair_until INTEGER,
    sale       BLOB REFERENCES sales (id),
    seq        INTEGER NOT NULL,
    CHECK ((pair_till IS NULL) = (pair_since IS NULL) AND (pair_till IS NULL) = (pair_until IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE reconciliation (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    cursor TEXT NOT NULL
) STRICT;

-- Never updated, never deleted from. hash = SHA-256(hash of the row before || this row).
CREATE TABLE journal (
    seq  INTEGER PRIMARY KEY,
    wall INTEGER,
    kind TEXT NOT NULL,
    id   TEXT NOT NULL,
    body TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
