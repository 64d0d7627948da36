-- What people are asked about a change that was sent, and of which nobody can
-- tell what became of it.
CREATE TABLE inquiries (
    change_id TEXT PRIMARY KEY,
    asked_at BIGINT NOT NULL,
    terms TEXT NOT NULL,
    uid TEXT,
    digest TEXT
);
