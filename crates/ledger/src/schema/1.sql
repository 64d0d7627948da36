-- The book, in words that SQLite and PostgreSQL both read: whole numbers and
-- texts, moments in microseconds, money in millionths.

-- One row, which every transaction locks first: so the book has one writer at a
-- time, one clock and one chain.
CREATE TABLE book (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    organization TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    clock BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    digest TEXT NOT NULL,
    emitted BIGINT NOT NULL,
    -- How many rows with a charge were taken out.
    erased BIGINT NOT NULL,
    accepted_at BIGINT,
    accepted_over TEXT
);

CREATE TABLE changes (
    id TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    holder BIGINT NOT NULL,
    progress TEXT NOT NULL CHECK (progress IN ('claimed', 'pending', 'executing', 'reserved',
        'sending', 'unknown', 'needs_human', 'applied', 'not_applied')),
    since BIGINT NOT NULL,
    principal TEXT NOT NULL,
    tool TEXT NOT NULL,
    -- From here on empty until something is decided.
    record TEXT,
    proposal TEXT,
    intent TEXT,
    likeness TEXT,
    after_state TEXT,
    reserved_at BIGINT,
    sent_at BIGINT,
    applied_at BIGINT,
    -- What others' decisions read.
    connector TEXT,
    account TEXT,
    object TEXT,
    charge TEXT,
    -- The line of the chain that was written with its last charge.
    touched BIGINT NOT NULL DEFAULT 0
);
-- The open ones are few, whatever their age.
CREATE INDEX changes_open ON changes (since) WHERE progress NOT IN ('applied', 'not_applied');
CREATE INDEX changes_applied ON changes (applied_at) WHERE progress = 'applied';
CREATE INDEX changes_ended ON changes (since) WHERE progress IN ('applied', 'not_applied');
CREATE INDEX changes_likeness ON changes (likeness) WHERE likeness IS NOT NULL;
CREATE INDEX changes_touched ON changes (touched) WHERE touched > 0;
CREATE INDEX changes_object ON changes (object, account, connector);

CREATE TABLE claims (
    claim TEXT PRIMARY KEY,
    change_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    answer TEXT,
    answered_at BIGINT,
    is_expired BIGINT NOT NULL
);
CREATE INDEX claims_change ON claims (change_id);
CREATE INDEX claims_answered ON claims (answered_at) WHERE is_expired = 0;

-- Which open change has which spend root. What only stops money does not wait
-- for its turn, and may stand beside another.
CREATE TABLE roots (
    root TEXT NOT NULL,
    change_id TEXT NOT NULL,
    is_stop BIGINT NOT NULL,
    PRIMARY KEY (root, change_id)
);
CREATE UNIQUE INDEX roots_one ON roots (root) WHERE is_stop = 0;
CREATE INDEX roots_change ON roots (change_id);

-- The lowest live value that a budget had around an applied change.
CREATE TABLE lows (
    change_id TEXT NOT NULL,
    connector TEXT NOT NULL,
    account TEXT NOT NULL,
    object TEXT NOT NULL,
    micros BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (change_id, object)
);
CREATE INDEX lows_object ON lows (object, at);
CREATE INDEX lows_at ON lows (at);

CREATE TABLE events (
    sequence BIGINT PRIMARY KEY,
    digest TEXT NOT NULL,
    at BIGINT NOT NULL,
    line TEXT NOT NULL
);

CREATE TABLE approvals (
    change_id TEXT PRIMARY KEY,
    asked_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    terms TEXT NOT NULL,
    fired TEXT NOT NULL,
    -- What is carried out when people agree, and what it was decided on.
    arguments TEXT NOT NULL,
    pinned TEXT NOT NULL,
    policy_digest TEXT NOT NULL,
    uid TEXT,
    digest TEXT,
    ended TEXT
);

CREATE TABLE exposure (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    as_of BIGINT NOT NULL,
    active TEXT NOT NULL
);
