-- The second schema: returns (money that a till gives back) are rows of `sales` with a `kind`, so that tickets, receipts,
-- pages and the order of a till's requests are one thing. Receipts have numbers, and what is booked has an order. Checks
-- cannot be changed in place: the table is made anew, with the foreign keys off and checked before the commit.

CREATE TABLE sales_2 (
    no             INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    open           INTEGER NOT NULL CHECK (open IN (0, 1)),
    till           INTEGER NOT NULL CHECK (till BETWEEN 1 AND 9999),
    ticket_epoch   INTEGER CHECK (ticket_epoch BETWEEN 0 AND 4294967295),
    ticket         INTEGER CHECK (ticket BETWEEN 0 AND 4294967295),
    minor          INTEGER NOT NULL CHECK (minor BETWEEN 0 AND 999999999999),
    currency       TEXT NOT NULL CHECK (length(currency) = 3),
    code           TEXT NOT NULL CHECK (length(code) = 2),
    asked_at       INTEGER,
    ticket_at      INTEGER,
    ended_at       INTEGER,
    boot           BLOB NOT NULL CHECK (length(boot) = 16),
    ends           INTEGER NOT NULL,
    hears_result   INTEGER NOT NULL CHECK (hears_result IN (0, 1)),
    state          TEXT NOT NULL CHECK (state IN ('waiting', 'offered', 'paying', 'aborting', 'approved', 'declined', 'cancelled', 'lapsed', 'choosing', 'sending', 'returned')),
    session        BLOB CHECK (length(session) = 16),
    until          INTEGER,
    why            TEXT,
    reason         TEXT,
    attempt        BLOB CHECK (length(attempt) = 16),
    telling        TEXT CHECK (telling IN ('telling', 'take-later', 'taken', 'rejected', 'unheard', 'no-channel')),
    tell_at        INTEGER,
    tell_times     INTEGER,
    receipt        INTEGER CHECK (receipt BETWEEN 1 AND 9999),
    booked         INTEGER,
    kind           TEXT CHECK (kind IN ('refund', 'reverse')),
    named_epoch    INTEGER CHECK (named_epoch BETWEEN 0 AND 4294967295),
    named_ticket   INTEGER CHECK (named_ticket BETWEEN 0 AND 4294967295),
    named_receipt  INTEGER CHECK (named_receipt BETWEEN 1 AND 9999),
    back_of        BLOB REFERENCES sales (id),
    back_refund    BLOB CHECK (length(back_refund) = 16),
    back_minor     INTEGER CHECK (back_minor BETWEEN 1 AND 999999999999),
    pending        INTEGER CHECK (pending IN (0, 1)),
    seq            INTEGER NOT NULL,
    CHECK (ticket_epoch IS NULL OR ticket IS NOT NULL),
    CHECK ((state IN ('offered', 'paying', 'aborting', 'choosing')) = (session IS NOT NULL)),
    CHECK (state NOT IN ('offered', 'aborting', 'choosing') OR until IS NOT NULL),
    CHECK ((state IN ('aborting', 'declined', 'cancelled')) = (why IS NOT NULL)),
    CHECK ((state = 'approved' OR back_of IS NOT NULL) = (attempt IS NOT NULL)),
    CHECK ((state IN ('approved', 'declined', 'cancelled', 'lapsed', 'returned')) = (telling IS NOT NULL)),
    CHECK (telling IS NOT 'take-later' OR (tell_at IS NOT NULL AND tell_times IS NOT NULL)),
    CHECK (kind IS NULL OR (state NOT IN ('waiting', 'offered', 'paying', 'aborting', 'approved') AND receipt IS NOT NULL)),
    CHECK (kind IS NOT NULL OR (state NOT IN ('choosing', 'sending', 'returned') AND back_of IS NULL)),
    CHECK (named_epoch IS NULL OR named_ticket IS NOT NULL),
    CHECK (named_ticket IS NULL OR named_receipt IS NULL),
    CHECK ((back_of IS NULL) = (back_refund IS NULL) AND (back_of IS NULL) = (back_minor IS NULL)),
    CHECK (state NOT IN ('sending', 'returned') OR back_of IS NOT NULL),
    CHECK (back_of IS NULL OR state IN ('sending', 'returned', 'declined')),
    CHECK ((state = 'returned') = (pending IS NOT NULL))
) STRICT;
INSERT INTO sales_2 (no, id, open, till, ticket_epoch, ticket, minor, currency, code, asked_at, ticket_at, ended_at, boot,
    ends, hears_result, state, session, until, why, reason, attempt, telling, tell_at, tell_times, seq)
    SELECT no, id, open, till, ticket_epoch, ticket, minor, currency, code, asked_at, ticket_at, ended_at, boot,
    ends, hears_result, state, session, until, why, reason, attempt, telling, tell_at, tell_times, seq FROM sales;
DROP TABLE sales;
ALTER TABLE sales_2 RENAME TO sales;
CREATE INDEX sales_open ON sales (no) WHERE open = 1;
CREATE INDEX sales_of_till ON sales (till);
CREATE INDEX sales_by_date ON sales (asked_at);
CREATE INDEX sales_by_receipt ON sales (till, receipt) WHERE receipt IS NOT NULL;
CREATE INDEX sales_booked ON sales (till, booked) WHERE booked IS NOT NULL;
CREATE INDEX sales_summed ON sales (till, ticket_epoch, state, minor)
    WHERE kind IS NULL AND state IN ('approved', 'declined', 'cancelled', 'lapsed');

ALTER TABLE refunds ADD COLUMN booked INTEGER;
CREATE INDEX refunds_booked ON refunds (booked) WHERE booked IS NOT NULL;
CREATE INDEX attempts_paid ON attempts (session) WHERE state = 'paid';

-- Until when a phone that has paid reaches the internet.
ALTER TABLE sessions ADD COLUMN online_until INTEGER;

-- Where each till closed its day last.
CREATE TABLE days (
    till INTEGER NOT NULL PRIMARY KEY CHECK (till BETWEEN 1 AND 9999),
    mark INTEGER NOT NULL,
    seq  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
